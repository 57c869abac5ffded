package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"usher"
)

// PageQuery selects a part of a list.
type PageQuery struct {
	// Limit is how many there may be on a page, up to 200; 0 leaves it to the server.
	Limit int
	// Cursor is the NextCursor of the page before; empty begins the list.
	Cursor string
}

func (q PageQuery) values() url.Values {
	values := url.Values{}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Cursor != "" {
		values.Set("cursor", q.Cursor)
	}
	return values
}

// RoomQuery selects rooms.
type RoomQuery struct {
	// Status restricts the list to rooms of one status, if not empty.
	Status usher.RoomStatus
	// Search restricts it to rooms that have that text in their name, id or owner.
	Search string
	PageQuery
}

// CreateRoom makes a room.
func (a *API) CreateRoom(ctx context.Context, req CreateRoomRequest, options ...Option) (Room, error) {
	var r Room
	err := a.do(ctx, call{method: http.MethodPost, path: []string{"rooms"}, body: req, options: options}, &r)
	return r, err
}

// Room returns the room with that id or name.
func (a *API) Room(ctx context.Context, room string) (Room, error) {
	var r Room
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms", room}}, &r)
	return r, err
}

// RoomPage returns one page of the rooms that the caller may see, by the time
// they were made.
func (a *API) RoomPage(ctx context.Context, q RoomQuery) (RoomPage, error) {
	values := q.values()
	if q.Status != "" {
		values.Set("status", string(q.Status))
	}
	if q.Search != "" {
		values.Set("search", q.Search)
	}
	var p RoomPage
	err := a.do(ctx, call{method: http.MethodGet, path: []string{"rooms"}, query: values}, &p)
	return p, err
}

// Rooms goes through all rooms from the query's page on. It ends with the
// first error.
func (a *API) Rooms(ctx context.Context, q RoomQuery) iter.Seq2[Room, error] {
	return walk(q.Cursor, func(cursor string) ([]Room, string, error) {
		q.Cursor = cursor
		p, err := a.RoomPage(ctx, q)
		return p.Rooms, p.NextCursor, err
	})
}

// walk goes through pages, from the one at the cursor to the last.
func walk[T any](cursor string, page func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for at := cursor; ; {
			items, next, err := page(at)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			at = next
		}
	}
}

// ChangeRoom changes a room that has not ended.
func (a *API) ChangeRoom(ctx context.Context, room string, req ChangeRoomRequest, options ...Option) (Room, error) {
	var r Room
	err := a.do(ctx, call{method: http.MethodPatch, path: []string{"rooms", room}, body: req, options: options}, &r)
	return r, err
}

// EndRoom ends a room for good. The reason, which may be empty, is told to
// those who are in it.
func (a *API) EndRoom(ctx context.Context, room, reason string) (Room, error) {
	var r Room
	err := a.do(ctx, call{method: http.MethodDelete, path: []string{"rooms", room}, body: EndRequest{reason}}, &r)
	return r, err
}
