package health

import (
	"slices"
	"strconv"
)

// AlarmName names an alarm. The values are labels of metrics and parts of `rolecall status --json`.
type AlarmName string

// The alarms. docs/operate.md says what each means and what to do.
const (
	AlarmNeverSwept   AlarmName = "never_swept"
	AlarmOverdue      AlarmName = "sweep_overdue"
	AlarmAborted      AlarmName = "sweep_aborted"
	AlarmBehind       AlarmName = "reads_behind"
	AlarmRolesRefused AlarmName = "roles_refused"
	AlarmSilent       AlarmName = "endpoint_silent"
	AlarmNoWebhook    AlarmName = "no_webhook_ever"
	AlarmStuck        AlarmName = "deliveries_stuck"
	AlarmQuarantined  AlarmName = "deliveries_quarantined"
	AlarmPaused       AlarmName = "queue_paused"
	AlarmDatabase     AlarmName = "database_changed"
	AlarmLost         AlarmName = "acknowledged_lost"
	AlarmLockout      AlarmName = "nobody_gets_in"
	AlarmPolicy       AlarmName = "policy_refused"
	AlarmReplicas     AlarmName = "replica_away"
)

// AlarmNames lists all alarms.
func AlarmNames() []AlarmName {
	return append([]AlarmName{
		AlarmNeverSwept, AlarmOverdue, AlarmAborted, AlarmBehind, AlarmRolesRefused, AlarmSilent, AlarmNoWebhook, AlarmStuck,
		AlarmQuarantined, AlarmPaused, AlarmDatabase, AlarmLost,
	}, ownAlarmNames()...)
}

// ownAlarmNames lists the alarms that a process knows of itself, without the database.
func ownAlarmNames() []AlarmName {
	return []AlarmName{AlarmLockout, AlarmPolicy, AlarmReplicas}
}

// Alarm is a fault that needs an operator's attention.
type Alarm struct {
	Name   AlarmName `json:"name"`
	Detail string    `json:"detail"` // the fault
	Advice string    `json:"advice"` // what to do
}

// HasAlarm reports whether a list has the alarm.
func HasAlarm(alarms []Alarm, name AlarmName) bool {
	return slices.ContainsFunc(alarms, func(a Alarm) bool { return a.Name == name })
}

// several writes how many things there are, and what they do: "1 delivery waits", "2 deliveries
// wait".
func several(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}
