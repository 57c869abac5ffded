import { Button, Drawer, Text } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useServices } from '../context.tsx';
import { explain } from '../explain.ts';
import { Face } from '../home/Header.tsx';
import { Icon } from '../icons.tsx';
import { Bar, MediaProblem, OwnTools, QualityMark, Tool } from '../media/Controls.tsx';
import { DevicesDialog } from '../media/DevicesDialog.tsx';
import { useFullScreen } from '../media/fullscreen.ts';
import { Video } from '../media/Video.tsx';
import { useStore } from '../store.ts';
import type { Attendee, Meeting } from './meeting.ts';
import { Roster } from './Roster.tsx';

interface Props {
  readonly meeting: Meeting;
  readonly name: string;
  /** That one may invite others: guests may not. */
  readonly invites: boolean;
}

/** Everybody in the room. */
export function RoomView({ meeting, name, invites }: Props) {
  const s = useStrings();
  const { say } = useServices();
  const { others } = useStore(meeting);
  const stage = useRef<HTMLElement>(null);
  const full = useFullScreen(stage);
  const [dialog, setDialog] = useState<'people' | 'devices'>();
  const [asking, setAsking] = useState(false);
  const [link, setLink] = useState<string>();
  useEffect(() => stage.current?.focus(), []); // so that a screen reader is where the room is
  const invite = async (): Promise<void> => {
    try {
      const invitation = await meeting.invitation();
      const copied = await copy(invitation);
      setLink(copied ? undefined : invitation); // to be copied by hand
      if (copied) say(s.room.inviteCopied);
    } catch (thrown) {
      say(explain(s, thrown));
    }
  };
  const sharing = others.filter(({ screen }) => screen !== undefined);
  return (
    <main className="stage" ref={stage} tabIndex={-1} aria-label={name} data-room={meeting.room}>
      <div className="stage-head">
        <h1>{name}</h1>
        <Text component="span" className="stage-note">{s.rooms.inside(others.length + 1)}</Text>
      </div>
      <MediaProblem />
      <div className="room" data-sharing={sharing.length > 0}>
        {sharing.length > 0 && (
          <div className="room-screens">
            {sharing.map((one) => (
              <Video key={one.id} stream={one.screen} label={s.call.theirScreen(one.name)} />
            ))}
          </div>
        )}
        <ul className="tiles" data-count={others.length + 1}>
          {others.map((one) => (
            <Tile key={one.id} attendee={one} />
          ))}
          <OwnTile meeting={meeting} />
        </ul>
        <div className="alone">
          {others.length === 0 && <Text>{invites ? s.room.alone : s.room.waiting}</Text>}
          {others.length === 0 && invites && <Button onClick={() => void invite()}>{s.room.invite}</Button>}
          {link !== undefined && <code className="invitation">{link}</code>}
        </div>
      </div>
      <Bar label={name}>
        <OwnTools />
        <Tool icon="people" label={s.room.showPeople} onClick={() => setDialog('people')} />
        {invites && <Tool icon="link" label={s.room.invite} onClick={() => void invite()} />}
        <Tool icon="settings" label={s.media.devices} onClick={() => setDialog('devices')} />
        <Tool icon={full.on ? 'small' : 'full'} label={full.on ? s.media.endFullScreen : s.media.fullScreen} onClick={full.toggle} marked={full.on} className="full" />
        <Tool icon="leave" label={s.room.leave} danger onClick={() => void meeting.leave()} />
      </Bar>
      <Drawer
        opened={dialog === 'people'}
        onClose={() => setDialog(undefined)}
        closeOnEscape={!asking}
        title={s.room.people(others.length + 1)}
        position="right"
        size="sm"
        closeButtonProps={{ 'aria-label': s.close }}
        portalProps={full.on && stage.current !== null ? { target: stage.current } : {}}
      >
        <Roster meeting={meeting} onAsk={setAsking} />
      </Drawer>
      <DevicesDialog opened={dialog === 'devices'} onClose={() => setDialog(undefined)} />
    </main>
  );
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the browser has no clipboard for this page
  }
}

function Tile({ attendee }: { readonly attendee: Attendee }) {
  const s = useStrings();
  const { name, camera, sends, quality, link } = attendee;
  return (
    <li className="tile" data-name={name} data-link={link}>
      {camera !== undefined && <Video stream={camera} label={s.call.theirs(name)} className={sends.video ? '' : 'unseen'} />}
      {(camera === undefined || !sends.video) && <Face name={name} size="xl" />}
      <span className="tile-name">
        {!sends.audio && <Icon name="microphoneOff" size={16} />}
        <span>{name}</span>
        {!sends.audio && <span className="sr-only">{s.media.muted}</span>}
        {link === 'connected' ? <QualityMark quality={quality} /> : <span>{link === 'failed' ? s.room.unlinkedShort : s.call.connecting}</span>}
      </span>
    </li>
  );
}

function OwnTile({ meeting }: { readonly meeting: Meeting }) {
  const s = useStrings();
  const { devices } = useServices();
  const { me } = useStore(meeting);
  const { stream, on, has, screen } = useStore(devices);
  return (
    <li className="tile" data-own>
      {on.video && has.video ? <Video stream={stream} label={s.media.preview} own mirrored /> : <Face name={me?.name ?? ''} size="xl" />}
      <span className="tile-name">
        {!(on.audio && has.audio) && <Icon name="microphoneOff" size={16} />}
        <span>
          {me?.name} {s.room.you}
        </span>
      </span>
      {screen !== undefined && <span className="tag">{s.media.sharing}</span>}
    </li>
  );
}
