package health

// Title returns what an alarm says, in a few words.
func (n AlarmName) Title() string {
	switch n {
	case AlarmNeverSwept:
		return "The mirror was never compared with Clerk"
	case AlarmOverdue:
		return "No sweep was clean for too long"
	case AlarmAborted:
		return "The newest sweep was stopped"
	case AlarmBehind:
		return "Clerk's reads are behind its webhooks"
	case AlarmRolesRefused:
		return "Clerk refuses to show what roles permit"
	case AlarmSilent:
		return "Webhooks don't arrive any more"
	case AlarmNoWebhook:
		return "No webhook has ever come"
	case AlarmStuck:
		return "Deliveries wait too long"
	case AlarmQuarantined:
		return "Deliveries are quarantined"
	case AlarmPaused:
		return "Queues are paused"
	case AlarmDatabase:
		return "The database is another one than before"
	case AlarmLost:
		return "A failover lost what was acknowledged"
	case AlarmLockout:
		return "No user gets in"
	case AlarmPolicy:
		return "The policy file is refused"
	case AlarmReplicas:
		return "A replica doesn't answer"
	default:
		return string(n)
	}
}

// Title returns what a notice says, in a few words.
func (n NoticeName) Title() string {
	switch n {
	case NoticeListRefused:
		return "Clerk refuses a list"
	case NoticeBilling:
		return "Clerk Billing isn't mirrored"
	case NoticeNoManager:
		return "Workspaces have no manager"
	default:
		return string(n)
	}
}
