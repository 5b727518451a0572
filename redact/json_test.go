package redact

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"nothing":            {`{"a":"b","c":[1,true,null,{"d":"e"}]}`, ""},
		"a password":         {`{"password":"x","a":1}`, `{"password":"[redacted]","a":1}`},
		"any case":           {`{"DB_PassWord":"x"}`, `{"DB_PassWord":"[redacted]"}`},
		"within":             {`{"labels":{"a":"b","my-token-1":"x"}}`, `{"labels":{"a":"b","my-token-1":"[redacted]"}}`},
		"an object":          {`{"credentials":{"a":["}",{"b":"\""}]},"c":1}`, `{"credentials":"[redacted]","c":1}`},
		"a list":             {`{"secrets":[[],["]"]],"c":1}`, `{"secrets":"[redacted]","c":1}`},
		"a number":           {`[{"apikey":-1.5e3},{"api-key":0}]`, `[{"apikey":"[redacted]"},{"api-key":"[redacted]"}]`},
		"a word":             {`{"api_key":true,"cookie":null}`, `{"api_key":"[redacted]","cookie":"[redacted]"}`},
		"spaces":             {"{ \"passwd\" :\r\n\t[ 1 , 2 ] , \"a\" : 1 }", "{ \"passwd\" :\r\n\t\"[redacted]\" , \"a\" : 1 }"},
		"keys":               {`{"private-key":"x","a_private_key_b":"y"}`, `{"private-key":"[redacted]","a_private_key_b":"[redacted]"}`},
		"a header":           {`{"Authorization":"Bearer x","Set-Cookie":"y"}`, `{"Authorization":"[redacted]","Set-Cookie":"[redacted]"}`},
		"an escaped name":    {`{"p\u0061ssword":"x"}`, `{"p\u0061ssword":"[redacted]"}`},
		"a Kelvin sign":      {"{\"to\u212aen\":\"x\"}", "{\"to\u212aen\":\"[redacted]\"}"},
		"a name with ü":      {`{"ü-secret":"x"}`, `{"ü-secret":"[redacted]"}`},
		"a value":            {`{"a":"password","b":["token"],"c":"secret: x"}`, ""},
		"nearly":             {`{"pass":"a","word":"b","apiKe":"c","private key":"d","toke":"e"}`, ""},
		"not the quote's":    {`{"toke":"n"}`, ""},
		"a quote in a value": {`{"a":"\"token\":","b":"\\"}`, ""},

		"a URL":              {`{"a":"see https://u:p@host/x"}`, `{"a":"see https://[redacted]@host/x"}`},
		"a user":             {`"https://u@host"`, `"https://[redacted]@host"`},
		"two URLs":           {`["ftp://u:p@a b://c d://e:f@g"]`, `["ftp://[redacted]@a b://c d://[redacted]@g"]`},
		"two signs":          {`"a://b@c@d"`, `"a://[redacted]@d"`},
		"in a query":         {`"https://host/a?b=c@d#e@f"`, ""},
		"a mail":             {`{"a":"me@host","b":"https://host"}`, ""},
		"escaped slashes":    {`"https:\/\/u:p@host\/x\n"`, `"https://[redacted]@host/x\n"`},
		"all escaped":        {`"https\u003a\u002f\u002fu:p\u0040host"`, `"https://[redacted]@host"`},
		"escapes, no user":   {`"https:\/\/host\/x\u0040"`, ""},
		"a URL in a name":    {`{"https://u:p@host":1}`, ""},
		"after quotes":       {`"a \"https://u:p@host\" b"`, `"a \"https://[redacted]@host\" b"`},
		"both":               {`{"token":"https://u:p@host","a":"https://u:p@host"}`, `{"token":"[redacted]","a":"https://[redacted]@host"}`},
		"invalid UTF-8":      {"{\"a\":\"\xff https://u:p@host \xff\",\"\xfftoken\":1}", "{\"a\":\"\xff https://[redacted]@host \xff\",\"\xfftoken\":\"[redacted]\"}"},
		"redacted already":   {`{"a":"https://[redacted]@host"}`, ""},
		"a secret alone":     {`"secret"`, ""},
		"a name at the end":  {`{"token":`, `{"token":"[redacted]"`},
		"cut off in a value": {`{"token":"x`, `{"token":"[redacted]"`},
		"cut off in a list":  {`{"token":[{"a":"b"`, `{"token":"[redacted]"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := test.want
			if want == "" {
				want = test.body
			}
			got, had := JSON([]byte("before "), []byte(test.body))
			if string(got) != "before "+want || had != (test.want != "") {
				t.Errorf("%s becomes %s, %t, want %s", test.body, got, had, want)
			}
		})
	}
}

// plainly is JSON of what was decoded.
func plainly(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			v[name] = plainly(value)
			for _, word := range secretWords {
				if strings.Contains(strings.ToLower(name), word) {
					v[name] = Mark
				}
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = plainly(v[i])
		}
		return v
	case string:
		text, _ := appendURLs(nil, []byte(v))
		return string(text)
	default:
		return v
	}
}

func decodeAny(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

func FuzzJSON(f *testing.F) {
	for _, body := range []string{
		`{"a":"b","token":["x",{"y":1}]}`, `{"p\u0061ssword":-1.5e3,"ü":"https:\/\/u:p@h"}`, "[\"\xff://a@\",{\"to\u212aen\" :\ttrue}]",
		`"a\\\"://b@\u0040c"`, `{"cookie":{"a":"}\""},"apikey":null}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		got, had := JSON(nil, body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if !had && !bytes.Equal(got, body) {
			t.Fatalf("%q becomes %q without a secret", body, got)
		}
		if !json.Valid(body) {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%q becomes %q", body, got)
		}
		want, err := decodeAny(body)
		if err != nil {
			t.Fatal(err)
		}
		value, err := decodeAny(got)
		if want = plainly(want); err != nil || !reflect.DeepEqual(value, want) {
			t.Fatalf("%q becomes %q, want %v: %v", body, got, want, err)
		}
		if again, _ := JSON(nil, got); !bytes.Equal(again, got) {
			t.Fatalf("%q becomes %q, and that %q", body, got, again)
		}
	})
}
