// What the page of an app on Room Service holds.
import {RoomService} from '@roomservice/browser';
import './until.mjs';

window.RoomService = RoomService;
document.title = 'ready';
