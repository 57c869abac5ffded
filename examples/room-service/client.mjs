// What client.js is made of.
import {RoomService} from '@roomservice/browser';

globalThis.RoomService = RoomService;
