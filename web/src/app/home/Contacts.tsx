import { ActionIcon, Button, Group, Indicator, Loader, Menu, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { UsherError, type Contact } from '@usher/client';
import { useRef, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { person, readContactsAgain, useContacts, useMine, useServices, useStatus } from '../context.tsx';
import { explain } from '../explain.ts';
import { Icon } from '../icons.tsx';
import { address } from '../session.ts';
import { useStore } from '../store.ts';
import { Face } from './Header.tsx';
import { Card } from './Home.tsx';

/** Whom one lists, with who is there. */
export function Contacts() {
  const s = useStrings();
  const { me } = useMine();
  const { session } = useServices();
  const byName = useStore(session).config?.sign_in === 'name';
  const contacts = useContacts();
  const [adding, setAdding] = useState(false);
  const list = contacts.data ?? [];
  return (
    <Card
      title={s.contacts.title}
      beside={
        <Button size="compact-md" leftSection={<Icon name="add" size={16} />} onClick={() => setAdding(true)}>
          {s.contacts.add}
        </Button>
      }
    >
      {contacts.isPending && <Loader aria-label={s.loading} />}
      {contacts.isError && (
        <Group role="alert">
          <Text c="var(--mantine-color-error)">{s.contacts.failed}</Text>
          <Button variant="default" onClick={() => void contacts.refetch()}>
            {s.retry}
          </Button>
        </Group>
      )}
      {contacts.isSuccess && list.length === 0 && <Text c="dimmed">{byName ? s.contacts.emptyByName : s.contacts.empty}</Text>}
      <ul className="people">
        {list.map((contact) => (
          <Row key={contact.key} contact={contact} />
        ))}
      </ul>
      <Text size="sm" c="dimmed" mt="sm">
        {list.length > 0 && `${s.contacts.mutual} `}
        {me.email !== undefined && s.contacts.you(me.email)}
      </Text>
      <AddContact opened={adding} onClose={() => setAdding(false)} />
    </Card>
  );
}

const colours = { online: 'teal.8', busy: 'red.8', away: 'yellow.8', offline: 'gray.6' } as const;

function Row({ contact }: { readonly contact: Contact }) {
  const s = useStrings();
  const { phone } = useMine();
  const [removing, setRemoving] = useState(false);
  const more = useRef<HTMLButtonElement>(null);
  const who = person(contact);
  const status = useStatus(contact.id);
  return (
    <li className="person" data-contact={who.name} data-status={status}>
      <Indicator color={colours[status]} size={12} offset={4} position="bottom-end" withBorder>
        <Face name={who.name} />
      </Indicator>
      <div className="person-name">
        <Text fw={500} truncate>
          {who.name}
        </Text>
        <Text size="sm" c="dimmed">
          {s.status[status]}
        </Text>
      </div>
      <ActionIcon size={40} radius="xl" color="teal" variant="filled" aria-label={s.contacts.call(who.name)} onClick={() => void phone.call(who)}>
        <Icon name="phone" />
      </ActionIcon>
      <Menu position="bottom-end" withinPortal={false}>
        <Menu.Target>
          <ActionIcon size={40} variant="subtle" color="gray" aria-label={s.contacts.more(who.name)} ref={more}>
            <Icon name="more" />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {contact.email !== undefined && <Menu.Label>{contact.email}</Menu.Label>}
          <Menu.Item onClick={() => setRemoving(true)}>{s.contacts.remove}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <RemoveContact
        contact={contact}
        opened={removing}
        onClose={() => {
          setRemoving(false);
          more.current?.focus(); // the menu's item, which had the keyboard, is gone
        }}
      />
    </li>
  );
}

interface Dialog {
  readonly opened: boolean;
  readonly onClose: () => void;
}

function RemoveContact({ contact, opened, onClose }: Dialog & { readonly contact: Contact }) {
  const s = useStrings();
  const { client } = useMine();
  const { say } = useServices();
  const queries = useQueryClient();
  const { name } = person(contact);
  const remove = useMutation({
    mutationFn: () => client.api.removeContact(contact.key),
    onSuccess: () => {
      onClose();
      say(s.contacts.removed(name));
    },
    onError: (error) => say(explain(s, error)),
    onSettled: () => readContactsAgain(queries),
  });
  return (
    <Modal opened={opened} onClose={onClose} title={s.contacts.removeTitle(name)} closeButtonProps={{ 'aria-label': s.close }} centered>
      <Text>{s.contacts.removeText}</Text>
      <Group justify="flex-end" mt="md">
        <Button variant="default" onClick={onClose}>
          {s.cancel}
        </Button>
        <Button color="red" loading={remove.isPending} onClick={() => remove.mutate()}>
          {s.contacts.remove}
        </Button>
      </Group>
    </Modal>
  );
}

function AddContact({ opened, onClose }: Dialog) {
  const s = useStrings();
  const { client, me } = useMine();
  const { say, session } = useServices();
  const queries = useQueryClient();
  const byName = useStore(session).config?.sign_in === 'name';
  const [text, setText] = useState('');
  const add = useMutation({
    mutationFn: () => {
      const email = byName ? address(text) : text.trim();
      if (email.toLowerCase() === me.email?.toLowerCase()) throw new UsherError('contact_self', s.contacts.oneself);
      return client.api.addContact({ email });
    },
    onSuccess: (contact) => {
      setText('');
      onClose();
      say(s.contacts.added(person(contact).name));
    },
    onSettled: () => readContactsAgain(queries),
  });
  const close = (): void => {
    add.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={s.contacts.add} closeButtonProps={{ 'aria-label': s.close }} centered>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() !== '') add.mutate();
        }}
      >
        <Stack>
          <TextInput
            label={byName ? s.contacts.nameOrAddress : s.contacts.address}
            description={byName ? s.contacts.nameHint : s.contacts.addressHint}
            type={byName ? 'text' : 'email'}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            error={add.isError ? explain(s, add.error) : undefined}
            autoComplete="off"
            required
            withAsterisk={false}
            data-autofocus
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {s.cancel}
            </Button>
            <Button type="submit" loading={add.isPending}>
              {s.contacts.save}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
