import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import type { Client, Contact, Status } from '@usher/client';
import { createContext, useContext, useEffect, useState } from 'react';
import type { Phone } from './call/phone.ts';
import type { Devices } from './media/devices.ts';
import type { Person, Session } from './session.ts';

/** What there is whether or not somebody is signed in. */
export interface Services {
  readonly session: Session;
  readonly devices: Devices;
  /** say tells people something in passing, screen readers too. */
  readonly say: (text: string) => void;
}

/** Who is signed in, with what is theirs. */
export interface Mine {
  readonly client: Client;
  readonly me: Person;
  /** What is one's own is owned by this key. */
  readonly owner: string;
  readonly operator: boolean;
  readonly phone: Phone;
}

export const ServicesContext = createContext<Services | undefined>(undefined);
export const MineContext = createContext<Mine | undefined>(undefined);

export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (services === undefined) throw new Error('there are no services here');
  return services;
}

/** useMine is for what is shown only to who is signed in. */
export function useMine(): Mine {
  const mine = useContext(MineContext);
  if (mine === undefined) throw new Error('nobody is signed in here');
  return mine;
}

const contactsKey = ['contacts'] as const;

/** useContacts is whom one lists, read again whenever the server says so. */
export function useContacts() {
  const { client } = useMine();
  const queries = useQueryClient();
  useEffect(() => client.signal.on('contacts', () => void queries.invalidateQueries({ queryKey: contactsKey })), [client, queries]);
  return useQuery({ queryKey: contactsKey, queryFn: () => client.api.contacts() });
}

export function readContactsAgain(queries: QueryClient): Promise<void> {
  return queries.invalidateQueries({ queryKey: contactsKey });
}

/** knownPerson is a contact by what signaling calls them. */
export function knownPerson(queries: QueryClient, id: string): Person | undefined {
  const contact = queries.getQueryData<readonly Contact[]>(contactsKey)?.find((one) => one.id === id);
  return contact === undefined ? undefined : person(contact);
}

export function person(contact: Pick<Contact, 'id' | 'name' | 'email'>): Person {
  return { id: contact.id, name: contact.name ?? contact.email ?? '', email: contact.email };
}

/** useStatus is whether somebody is there, as it changes. */
export function useStatus(id: string): Status {
  const { client } = useMine();
  const [status, setStatus] = useState(() => client.presence.of(id));
  useEffect(() => {
    setStatus(client.presence.of(id));
    return client.presence.on('changed', ({ userId, status }) => {
      if (userId === id) setStatus(status);
    });
  }, [client, id]);
  return status;
}
