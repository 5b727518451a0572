package gateway

// Mode is how far people let the automation go.
type Mode string

// The modes, from bold to careful.
const (
	// ModeNormal leaves the path to the rules.
	ModeNormal Mode = "normal"
	// ModeManual makes every path manual.
	ModeManual Mode = "manual"
	// ModeOff takes in no firing signal: it is recognised and counted where it
	// has a request, and answered suppressed.
	ModeOff Mode = "off"
	// ModeShadow decides everything and writes nothing.
	ModeShadow Mode = "shadow"
)

// Switch is the hand that people have on the automation. It is safe for
// concurrent use, and asked for every signal: it costs no more than a look.
type Switch interface {
	// Mode returns what is ordered for a namespace of this cluster, or with ""
	// for the cluster alone, and where that is written. Of the two the more
	// careful holds.
	Mode(namespace string) (mode Mode, from string)
}
