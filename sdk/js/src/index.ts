/** The client of an Usher server: docs/sdk.md has a quick start. */
export { Api } from './api.js';
export { Call, Calls, type CallEvents, type CallState, type CallsEvents } from './calls.js';
export { CallMedia, type CallMediaEvents } from './callmedia.js';
export { Client, type ClientOptions } from './client.js';
export type { Environment, Socket, SocketConstructor, Timer } from './environment.js';
export { UsherError, type ErrorDetails, type FieldProblem } from './error.js';
export type { SignIn } from './http.js';
export { LocalMedia, type MediaEvents } from './media.js';
export type { CallEvent, CallNotice, Hello, LeftReason, Outgoing, Present, Relayed, RoomEvent, Status } from './messages.js';
export * from './operator.js';
export { all, each, type Page, type PageQuery } from './paging.js';
export { Peer, type PeerEvents, type PeerMessage, type PeerOptions, type StreamKind } from './peer.js';
export { Presence, type PresenceEvents } from './presence.js';
export { Renewing, type RenewingEvents } from './renewing.js';
export { RoomLink, Rooms, type Entry, type RoomLinkEvents } from './rooms.js';
export { Signal, type SignalEvents, type SignalState } from './signal.js';
export { devSignIn, redeem } from './signin.js';
export type * from './types.js';
