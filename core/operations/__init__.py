"""Pure builders, one file per pair of inverse operations: plan_*(table, ...) -> Plan, and no database anywhere."""
