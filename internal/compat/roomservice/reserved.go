package roomservice

import "usher"

// errReserved is told of a name that is none to the client.
var errReserved = usher.Errorf(usher.Invalid, "name_reserved", "The name is one that every object in JavaScript has already; choose another.")

// proto is the name under which an object in JavaScript has what it inherits
// from. Whoever sets it changes what is behind all other names.
const proto = "__proto__"

// reserved reports whether every object in JavaScript has something of that
// name. The client keeps maps, lists and presence in plain objects: it would
// take what it inherits for one of them, fail on it each time that it is told
// of it, and write what others show into what all objects of the page share.
func reserved(name string) bool {
	switch name {
	case proto, "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
		"toLocaleString", "toString", "valueOf",
		"__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__":
		return true
	}
	return false
}
