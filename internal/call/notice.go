package call

import "usher"

// Action is what a notice tells, as the signaling protocol calls it.
type Action string

// The actions of notices.
const (
	Invite  Action = "call.invite"
	Request Action = "call.request" // an invite from a stranger, without its payload
	Ringing Action = "call.ringing"
	Accept  Action = "call.accept"
	Taken   Action = "call.taken" // accepted or declined at another device
	Reject  Action = "call.reject"
	Busy    Action = "call.busy"
	Cancel  Action = "call.cancel"
	Hangup  Action = "call.hangup"
	Missed  Action = "call.missed"
)

// Notice is one thing to tell one person. Everything else that is to be told
// of the call is in the call, as it was after the step.
type Notice struct {
	Action Action
	// To is the key of the person. Device is the one device to tell; if it is
	// empty, all are told but Except.
	To, Device, Except string
	// From is the key of whose doing it was, and By the device; both are empty
	// for what happened by itself.
	From, By string
	Reason   usher.CallReason
	// Payload is what the client sent that did it, byte for byte.
	Payload string
}

// For reports whether a device of the person is told.
func (n Notice) For(device string) bool {
	if n.Device != "" {
		return n.Device == device
	}
	return n.Except == "" || n.Except != device
}
