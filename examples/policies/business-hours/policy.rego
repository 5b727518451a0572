# Outside business hours nobody watches what automation does: what would act by
# itself waits for an approval then, and development can wait till morning.
#
# The hours and the holidays are in data.yaml; the zone is the gateway's, the
# key policy.timeZone of its configuration.
package gateway

business_hours if {
	input.weekday in data.hours.days
	not input.date in data.hours.holidays
	input.clock >= data.hours.from
	input.clock < data.hours.to
}

path := "conservative" if {
	not business_hours
	input.matrix.path in {"moderate", "aggressive"}
}

priority := "P3" if {
	not business_hours
	input.environment == "development"
}

reason := "outside business hours" if path

reason := "outside business hours" if priority
