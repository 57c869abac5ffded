package httpd

// anyone lists every route that serves callers who are not known. Each proves
// in another way that it may be called, or tells nothing worth knowing.
var anyone = []string{
	"GET /healthz",                      // whether the process serves
	"GET /readyz",                       // whether it should get traffic
	"GET /.well-known/jwks.json",        // public keys
	"POST /oauth/token",                 // the assertion in the body says who calls
	"POST /v1/meetings/{meeting}/join",  // the one-time secret in the body is the proof
	"GET /v1/meetings/{meeting}/socket", // the first message authenticates
	"POST /api/v1/rooms/{room}/participants/{participant}/claim", // as a join
	"POST /api/v1/invites/redeem",                                // the code in the body is the proof
	"GET /signal",                                                // a token or ticket in the URL, or the first message, says who calls
	"POST /dev/login",                                            // development mode only, where anybody may be anyone
	"GET /api-address",                                           // the address of the VPaaS, which every browser needs
	"GET /api-address/{$}",                                       // the same
	"GET /ping",                                                  // whether the process serves, as the Agora token servers say it
	"GET /ping/{$}",                                              // the same
	"GET /presence/{room}",                                       // the session token in the header is the proof
	"GET /presence/{room}/{key}",                                 // the same
	"GET /docs/{document}",                                       // the same
	"GET /ws",                                                    // the first message is the session token
	"GET /api/v1/web/config",                                     // how the page signs people in
	"GET /{$}",                                                   // the page, which holds nothing
	"GET /join",                                                  // the same
	"GET /room/{room}",                                           // the same
	"GET /signed-in",                                             // the same
	"GET /console",                                               // the same: what it shows, it asks for with a token
	"GET /console/{page}",                                        // the same
	"GET /console/{page}/{item}",                                 // the same
	"GET /assets/{file}",                                         // scripts and styles of the page
}
