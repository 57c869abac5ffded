import { ActionIcon, Badge, Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import type { Present } from '@usher/client';
import { useEffect, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useServices } from '../context.tsx';
import { explain } from '../explain.ts';
import { Face } from '../home/Header.tsx';
import { Icon } from '../icons.tsx';
import { useStore } from '../store.ts';
import type { Meeting } from './meeting.ts';

interface Props {
  readonly meeting: Meeting;
  /** Hears when one is asked something, which Escape then answers and closes nothing else. */
  readonly onAsk: (asking: boolean) => void;
}

/** Who is in the room, and what a host can do about it. */
export function Roster({ meeting, onAsk }: Props) {
  const s = useStrings();
  const { others, me, host } = useStore(meeting);
  const [ending, setEnding] = useState(false);
  const end = useMutation({ mutationFn: () => meeting.end(s.room.endReason), onSettled: () => setEnding(false) });
  return (
    <Stack>
      <ul className="people">
        {me !== undefined && <Row one={me} own onAsk={onAsk} />}
        {others.map((one) => (
          <Row key={one.id} one={one} meeting={host ? meeting : undefined} onAsk={onAsk} />
        ))}
      </ul>
      {host && (
        <Button color="red" variant="outline" onClick={() => setEnding(true)}>
          {s.room.end}
        </Button>
      )}
      <Sure
        opened={ending}
        title={s.room.endTitle}
        text={s.room.endText}
        action={s.room.end}
        busy={end.isPending}
        onAsk={onAsk}
        onClose={() => setEnding(false)}
        onSure={() => end.mutate()}
      />
    </Stack>
  );
}

interface RowProps {
  readonly one: Present;
  readonly own?: boolean;
  /** Of a host, who may do something about it. */
  readonly meeting?: Meeting | undefined;
  readonly onAsk: (asking: boolean) => void;
}

function Row({ one, own = false, meeting, onAsk }: RowProps) {
  const s = useStrings();
  const { say } = useServices();
  const [removing, setRemoving] = useState(false);
  const { id, name } = one;
  const mute = useMutation({
    mutationFn: (from: Meeting) => from.askToMute(id),
    onSuccess: () => say(s.room.muteAsked(name)),
    onError: (error) => say(explain(s, error)),
  });
  const remove = useMutation({
    mutationFn: (from: Meeting) => from.remove(id, s.room.removeReason),
    onSuccess: () => say(s.room.removed(name)),
    onError: (error) => say(explain(s, error)),
    onSettled: () => setRemoving(false),
  });
  return (
    <li className="person" data-present={name}>
      <Face name={name} />
      <div className="person-name">
        <Text fw={500} truncate>
          {name} {own && s.room.you}
        </Text>
        {one.guest && <Badge size="sm" variant="default">{s.room.guest}</Badge>}
        {one.role === 'host' && <Badge size="sm" variant="default">{s.room.host}</Badge>}
      </div>
      {meeting !== undefined && (
        <>
          <ActionIcon size={40} variant="default" aria-label={s.room.mute(name)} title={s.room.mute(name)} onClick={() => mute.mutate(meeting)}>
            <Icon name="microphoneOff" />
          </ActionIcon>
          <ActionIcon size={40} variant="default" aria-label={s.room.remove(name)} title={s.room.remove(name)} onClick={() => setRemoving(true)}>
            <Icon name="remove" />
          </ActionIcon>
          <Sure
            opened={removing}
            title={s.room.removeTitle(name)}
            text={s.room.removeText}
            action={s.room.remove(name)}
            busy={remove.isPending}
            onAsk={onAsk}
            onClose={() => setRemoving(false)}
            onSure={() => remove.mutate(meeting)}
          />
        </>
      )}
    </li>
  );
}

interface SureProps {
  readonly opened: boolean;
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly busy: boolean;
  readonly onAsk: (asking: boolean) => void;
  readonly onClose: () => void;
  readonly onSure: () => void;
}

/** Asks before what can't be taken back. */
function Sure({ opened, title, text, action, busy, onAsk, onClose, onSure }: SureProps) {
  const s = useStrings();
  useEffect(() => {
    if (!opened) return undefined;
    onAsk(true);
    return () => onAsk(false);
  }, [opened, onAsk]);
  return (
    <Modal opened={opened} onClose={onClose} title={title} closeButtonProps={{ 'aria-label': s.close }} centered zIndex={300}>
      <Text>{text}</Text>
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose}>
          {s.cancel}
        </Button>
        <Button color="red" loading={busy} onClick={onSure}>
          {action}
        </Button>
      </Group>
    </Modal>
  );
}
