import { Button, Group, Modal, Paper, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useEffect, type ReactNode } from 'react';
import { useStrings } from '../../i18n.tsx';
import { readContactsAgain, useContacts, useMine, useServices } from '../context.tsx';
import { explain } from '../explain.ts';
import { Face } from '../home/Header.tsx';
import { Icon } from '../icons.tsx';
import { useRoute } from '../route.ts';
import type { Person } from '../session.ts';
import { play } from '../sound.ts';
import { useStore } from '../store.ts';
import { CallView } from './CallView.tsx';
import { duration } from './duration.ts';
import type { Ending, Ringing } from './phone.ts';

/** Whatever page is shown, calls ring and are shown above it. */
export function CallLayer({ children }: { readonly children: ReactNode }) {
  const { phone } = useMine();
  const { current, ringing, ending } = useStore(phone);
  const [first] = ringing;
  return (
    <>
      {current === undefined ? children : <CallView conversation={current} />}
      {first !== undefined && <IncomingCall key={first.call.id} ringing={first} quietly={current !== undefined} />}
      {current === undefined && ending !== undefined && <Ended key={`${ending.peer.id} ${ending.reason}`} ending={ending} />}
    </>
  );
}

function IncomingCall({ ringing, quietly }: { readonly ringing: Ringing; readonly quietly: boolean }) {
  const s = useStrings();
  const { phone } = useMine();
  const { peer, stranger } = ringing;
  const name = peer.name || s.call.somebody;
  const inRoom = useRoute().page === 'room';
  useEffect(() => {
    const before = document.title;
    document.title = s.call.isCalling(name);
    const hush = quietly ? undefined : play('ring');
    return () => {
      document.title = before;
      hush?.();
    };
  }, [s, name, quietly]);
  return (
    <Modal
      opened
      onClose={() => {}}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title={s.call.isCalling(name)}
      classNames={{ header: 'ringing-head', title: 'ringing-title' }}
      centered
      size="sm"
    >
      <div className="ringing" role="alert">
        <div className="pulse">
          <Face name={name} size="xl" />
        </div>
        {inRoom && <Text ta="center">{s.call.leavesRoom}</Text>}
        <Text c="dimmed" ta="center">
          {stranger && s.call.stranger}
          {stranger && peer.email !== undefined && <br />}
          {peer.email}
        </Text>
      </div>
      <Group grow mt="lg">
        <Button color="red" size="md" leftSection={<Icon name="hangUp" />} onClick={() => void phone.decline(ringing)}>
          {s.call.decline}
        </Button>
        <Button color="teal" size="md" leftSection={<Icon name="phone" />} onClick={() => void phone.accept(ringing)} data-autofocus>
          {s.call.accept}
        </Button>
      </Group>
    </Modal>
  );
}

/** How the last call has ended, and what one may want to do next. */
function Ended({ ending }: { readonly ending: Ending }) {
  const s = useStrings();
  const { phone } = useMine();
  const { peer, reason, lasted, outgoing } = ending;
  const name = peer.name || s.call.somebody;
  useEffect(() => play(reason === 'user_busy' ? 'busy' : 'ended'), [reason]);
  const missed = !outgoing && (reason === 'invite_timeout' || reason === 'cancelled');
  const text = missed ? s.call.ended.cancelled : s.call.ended[reason];
  return (
    <Paper component="aside" className="ended" withBorder shadow="lg" p="md" role="status" data-ended={reason}>
      <Text fw={500}>{text?.(name) ?? s.call.endedOther(name, reason)}</Text>
      {lasted !== undefined && (
        <Text size="sm" c="dimmed">
          {s.call.duration(duration(lasted))}
        </Text>
      )}
      <Group mt="sm" gap="xs">
        {reason !== 'call_to_oneself' && reason !== 'taken' && reason !== 'elsewhere' && (
          <Button size="compact-md" color="teal" onClick={() => void phone.call(peer)}>
            {missed ? s.missed.callBack(name) : s.call.again}
          </Button>
        )}
        <AddPeer peer={peer} />
        <Button size="compact-md" variant="default" onClick={() => phone.dismiss()}>
          {s.close}
        </Button>
      </Group>
    </Paper>
  );
}

/** After a call with a stranger: so that one finds them again. */
function AddPeer({ peer }: { readonly peer: Person }) {
  const s = useStrings();
  const { client } = useMine();
  const { say } = useServices();
  const queries = useQueryClient();
  const contacts = useContacts();
  const add = useMutation({
    mutationFn: (email: string) => client.api.addContact({ email }),
    onSuccess: () => say(s.contacts.added(peer.name)),
    onError: (error) => say(explain(s, error)),
    onSettled: () => readContactsAgain(queries),
  });
  const { email } = peer;
  if (email === undefined || contacts.data === undefined || contacts.data.some(({ id }) => id === peer.id)) return null;
  return (
    <Button size="compact-md" variant="default" loading={add.isPending} onClick={() => add.mutate(email)}>
      {s.call.addCaller(peer.name)}
    </Button>
  );
}
