import { Text } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useMine, useServices } from '../context.tsx';
import { Face } from '../home/Header.tsx';
import { Icon } from '../icons.tsx';
import { Bar, MediaProblem, OwnTools, QualityMark, Tool } from '../media/Controls.tsx';
import { DevicesDialog } from '../media/DevicesDialog.tsx';
import { useFullScreen } from '../media/fullscreen.ts';
import { Video } from '../media/Video.tsx';
import { play } from '../sound.ts';
import { useStore } from '../store.ts';
import { duration } from './duration.ts';
import type { Conversation } from './phone.ts';

/** The call itself. */
export function CallView({ conversation }: { readonly conversation: Conversation }) {
  const s = useStrings();
  const { phone } = useMine();
  const { devices } = useServices();
  const own = useStore(devices);
  const stage = useRef<HTMLElement>(null);
  const full = useFullScreen(stage);
  const [choosing, setChoosing] = useState(false);
  const { peer, phase, camera, screen, theirs, quality } = conversation;
  const name = peer.name || s.call.somebody;
  const before = phase === 'calling' || phase === 'rings';
  useEffect(() => {
    document.title = s.call.with(name);
    stage.current?.focus(); // so that a screen reader is where the call is
  }, [s, name]);
  useEffect(() => (phase === 'rings' ? play('ringback') : undefined), [phase]);
  return (
    <main className="stage" ref={stage} tabIndex={-1} aria-label={s.call.with(name)} data-phase={phase}>
      <div className="stage-head">
        <h1>{name}</h1>
        <Progress conversation={conversation} />
        {!before && <QualityMark quality={quality} />}
      </div>
      <MediaProblem />
      <div className="stage-main">
        {screen !== undefined && <Video stream={screen} label={s.call.theirScreen(name)} className="whole" />}
        {/* Their sound comes with their picture, which stays while it is not shown. */}
        {camera !== undefined && (
          <Video stream={camera} label={s.call.theirs(name)} className={screen !== undefined ? 'corner-left' : theirs.video ? 'filling' : 'unseen'} />
        )}
        {(camera === undefined || !theirs.video) && screen === undefined && (
          <div className={`nobody ${before ? 'pulse' : ''}`}>
            <Face name={name} size="xl" />
          </div>
        )}
        {!before && !theirs.audio && (
          <span className="tag">
            <Icon name="microphoneOff" size={16} /> {s.media.muted}
          </span>
        )}
        {own.on.video && own.has.video && <Video stream={own.stream} label={s.media.preview} className="corner" own mirrored />}
        {own.screen !== undefined && <span className="tag tag-own">{s.media.sharing}</span>}
      </div>
      <Bar label={s.call.with(name)}>
        <OwnTools screen={!before} />
        <Tool icon="settings" label={s.media.devices} onClick={() => setChoosing(true)} />
        <Tool icon={full.on ? 'small' : 'full'} label={full.on ? s.media.endFullScreen : s.media.fullScreen} onClick={full.toggle} marked={full.on} className="full" />
        <Tool icon="hangUp" label={before ? s.call.cancel : s.call.hangUp} danger onClick={() => void phone.hangUp()} />
      </Bar>
      <DevicesDialog opened={choosing} onClose={() => setChoosing(false)} />
    </main>
  );
}

/** How far the call is, said aloud as it changes. */
function Progress({ conversation: { peer, phase, since } }: { readonly conversation: Conversation }) {
  const s = useStrings();
  const name = peer.name || s.call.somebody;
  const text = {
    calling: s.call.calling(name),
    rings: s.call.ringing(name),
    connecting: s.call.connecting,
    talking: '',
    reconnecting: since === undefined ? s.call.resuming(name) : s.call.reconnecting,
  }[phase];
  return (
    <>
      <div role="status" aria-live="polite">
        {text !== '' && <Text component="span">{text}</Text>}
      </div>
      {phase === 'talking' && since !== undefined && <Clock since={since} />}
    </>
  );
}

function Clock({ since }: { readonly since: number }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return <span className="clock">{duration((now - since) / 1000)}</span>;
}
