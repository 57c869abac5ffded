package agora

// What reads a request, for fuzzing.
var (
	CheckChannel = checkChannel
	UserOf       = userOf
	LifetimeOf   = lifetimeOf
)
