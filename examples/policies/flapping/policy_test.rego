package gateway_test

import data.gateway

back(phase, sequence, completed, path) := {
	"time": "2026-03-02T12:00:00Z",
	"matrix": {"priority": "P1", "path": path},
	"previous": {"name": "rr-1", "phase": phase, "sequence": sequence, "attempt": 1, "path": path, "completedAt": completed},
}

test_back_soon_is_one_step_more_careful if {
	gateway.path == "moderate" with input as back("completed", 1, "2026-03-02T11:00:01Z", "aggressive")
	gateway.path == "conservative" with input as back("completed", 1, "2026-03-02T11:30:00Z", "moderate")
	gateway.path == "manual" with input as back("completed", 1, "2026-03-02T11:30:00Z", "conservative")
	gateway.path == "manual" with input as back("completed", 1, "2026-03-02T11:30:00Z", "manual")
}

test_back_later_is_left_to_the_tables if {
	not gateway.path with input as back("completed", 9, "2026-03-02T11:00:00Z", "aggressive")
	not gateway.reason with input as back("completed", 9, "2026-03-02T11:00:00Z", "aggressive")
	gateway.labels == {} with input as back("completed", 9, "2026-03-02T11:00:00Z", "aggressive")
}

test_after_a_failure_a_person_acts if {
	every phase in ["failed", "timedout"] {
		gateway.path == "manual" with input as back(phase, 1, "2026-03-02T11:30:00Z", "aggressive")
	}
}

test_again_and_again_a_person_acts if {
	gateway.path == "manual" with input as back("completed", 5, "2026-03-02T11:30:00Z", "aggressive")
	gateway.path == "manual" with input as back("failed", 5, "2026-03-02T11:30:00Z", "aggressive")
}

test_it_is_marked if {
	gateway.labels == {"example.com/flapping": "true"} with input as back("completed", 1, "2026-03-02T11:30:00Z", "moderate")
	gateway.reason == "back after rr-1 had ended it as completed" with input as back("completed", 1, "2026-03-02T11:30:00Z", "moderate")
}

test_the_first_is_left_to_the_tables if {
	not gateway.path with input as {"time": "2026-03-02T12:00:00Z", "matrix": {"path": "aggressive"}, "previous": null}
}

test_one_that_is_not_finished_is_left_to_the_tables if {
	not gateway.path with input as back("processing", 1, null, "aggressive")
}
