package gateway_test

import data.gateway

# at is an input at a time, with the tables' answer for an environment.
at(weekday, date, clock, environment, path) := {
	"weekday": weekday, "date": date, "clock": clock, "environment": environment,
	"matrix": {"priority": "P1", "path": path},
}

test_at_work_the_tables_hold if {
	some clock in ["09:00", "12:00", "17:29"]
	not gateway.path with input as at("Monday", "2026-03-02", clock, "staging", "moderate")
	not gateway.priority with input as at("Monday", "2026-03-02", clock, "development", "aggressive")
}

test_at_night_an_approval_is_needed if {
	every clock in ["00:00", "08:59", "17:30", "23:59"] {
		gateway.path == "conservative" with input as at("Monday", "2026-03-02", clock, "staging", "moderate")
	}
}

test_at_the_weekend_an_approval_is_needed if {
	gateway.path == "conservative" with input as at("Sunday", "2026-03-01", "12:00", "development", "aggressive")
}

test_on_a_holiday_an_approval_is_needed if {
	gateway.path == "conservative" with input as at("Friday", "2026-12-25", "12:00", "staging", "moderate")
}

test_what_is_careful_already_stays if {
	not gateway.path with input as at("Sunday", "2026-03-01", "12:00", "production", "conservative")
	not gateway.path with input as at("Sunday", "2026-03-01", "12:00", "unknown", "manual")
}

test_development_waits_till_morning if {
	gateway.priority == "P3" with input as at("Monday", "2026-03-02", "22:00", "development", "aggressive")
	not gateway.priority with input as at("Monday", "2026-03-02", "22:00", "production", "conservative")
}

test_it_says_why if {
	gateway.reason == "outside business hours" with input as at("Sunday", "2026-03-01", "12:00", "staging", "moderate")
	gateway.reason == "outside business hours" with input as at("Sunday", "2026-03-01", "12:00", "development", "manual")
	not gateway.reason with input as at("Sunday", "2026-03-01", "12:00", "production", "conservative")
	not gateway.reason with input as at("Monday", "2026-03-02", "12:00", "staging", "moderate")
}
