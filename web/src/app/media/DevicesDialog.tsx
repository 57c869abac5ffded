import { Button, Group, Modal, NativeSelect, Progress, Stack, Text } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useServices } from '../context.tsx';
import { play } from '../sound.ts';
import { useStore } from '../store.ts';
import { MediaProblem, OwnTools, Tool } from './Controls.tsx';
import { Video } from './Video.tsx';

/** Choosing camera, microphone and speaker, with a look at oneself. */
export function DevicesDialog({ opened, onClose }: { readonly opened: boolean; readonly onClose: () => void }) {
  const s = useStrings();
  return (
    <Modal opened={opened} onClose={onClose} title={s.media.title} closeButtonProps={{ 'aria-label': s.close }} centered>
      {opened && <Chooser />}
    </Modal>
  );
}

function Chooser() {
  const { devices } = useServices();
  useEffect(() => {
    void devices.open('look');
    return () => devices.close('look');
  }, [devices]);
  return (
    <Stack>
      <MediaProblem />
      <Preview />
      <DeviceChoice />
    </Stack>
  );
}

/** A look at oneself before one joins, with what one sends, and the choice of devices. */
export function BeforeJoining() {
  const s = useStrings();
  const [choosing, setChoosing] = useState(false);
  return (
    <Stack>
      <MediaProblem />
      <Preview />
      <Group justify="center">
        <OwnTools screen={false} />
        <Tool icon="settings" label={s.media.devices} onClick={() => setChoosing(true)} />
      </Group>
      <DevicesDialog opened={choosing} onClose={() => setChoosing(false)} />
    </Stack>
  );
}

/** One's own picture before anybody else sees it. */
function Preview() {
  const s = useStrings();
  const { devices } = useServices();
  const { stream, on, has } = useStore(devices);
  const visible = on.video && has.video;
  return (
    <div className="preview">
      {visible ? <Video stream={stream} label={s.media.preview} own mirrored /> : <Text>{s.media.cameraOff}</Text>}
    </div>
  );
}

const kinds = [
  { kind: 'video', of: 'videoinput', label: 'camera' },
  { kind: 'audio', of: 'audioinput', label: 'microphone' },
  { kind: 'speaker', of: 'audiooutput', label: 'speaker' },
] as const;

/** The devices there are. */
function DeviceChoice() {
  const s = useStrings();
  const { devices } = useServices();
  const { list, chosen, stream } = useStore(devices);
  const current = { video: stream?.getVideoTracks()[0]?.getSettings().deviceId, audio: stream?.getAudioTracks()[0]?.getSettings().deviceId, speaker: undefined };
  return (
    <Stack gap="sm">
      {kinds.map(({ kind, of, label }) => {
        const there = list.filter((device) => device.kind === of);
        if (there.length === 0) return null;
        return (
          <NativeSelect
            key={kind}
            label={s.media[label]}
            value={current[kind] ?? chosen[kind] ?? there[0]?.deviceId ?? ''}
            onChange={(event) => void devices.choose(kind, event.currentTarget.value)}
            data={there.map((device, i) => ({ value: device.deviceId, label: device.label || `${s.media[label]} ${i + 1}` }))}
          />
        );
      })}
      <Level stream={stream} />
      <Button variant="default" onClick={() => void play('test')}>
        {s.media.testSound}
      </Button>
    </Stack>
  );
}

/** How loud one is. */
function Level({ stream }: { readonly stream: MediaStream | undefined }) {
  const s = useStrings();
  const [level, setLevel] = useState(0);
  useEffect(() => {
    if (stream === undefined || stream.getAudioTracks().length === 0) return;
    const audio = new AudioContext();
    const analyser = audio.createAnalyser();
    analyser.fftSize = 512;
    audio.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, one) => sum + one * one, 0) / samples.length;
      setLevel(Math.min(100, Math.round(Math.sqrt(power) * 300)));
    }, 100);
    return () => {
      clearInterval(timer);
      void audio.close();
    };
  }, [stream]);
  return (
    <div>
      <Text size="sm" fw={500}>
        {s.media.level}
      </Text>
      <Progress value={level} aria-label={s.media.level} transitionDuration={100} />
    </div>
  );
}
