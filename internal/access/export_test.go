package access

// EncodeEvents is how the record writes events down.
var EncodeEvents = encodeEvents
