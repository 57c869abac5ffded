import { Button, Checkbox, Code, CopyButton, Group, Modal, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import type { Backend, KeyedBackend } from '@usher/client';
import { useState } from 'react';
import { useSigned } from '../context.ts';
import { useStrings } from '../i18n.tsx';
import { Failure } from '../parts/Answer.tsx';

interface Props {
  /** Whose keys are replaced; without one, a back end is registered. */
  readonly of: Backend | undefined;
  readonly onClose: () => void;
  readonly done: (backend: KeyedBackend) => void;
}

/** Registers a back end, or gives one new keys. */
export function BackendForm({ of, onClose, done }: Props) {
  const s = useStrings();
  const { operator } = useSigned();
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState('');
  const [pem, setPem] = useState('');
  const [makes, setMakes] = useState(of === undefined || of.has_api_key);
  const sending = useMutation({
    mutationFn: () => {
      const keys = { ...(pem.trim() !== '' && { public_key: pem }), ...(makes && { api_key: true }) };
      if (of !== undefined) return operator.rotateBackend(of.id, keys);
      const asked = scopes.split(/\s+/).filter(Boolean);
      return operator.addBackend({ name: name.trim(), ...keys, ...(asked.length > 0 && { scopes: asked }) });
    },
    gcTime: 0, // it has a key in it
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={of === undefined ? s.clients.add : s.clients.rotateTitle(of.name)}
      lockScroll={false}
      closeButtonProps={{ 'aria-label': s.close }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          sending.mutate(undefined, { onSuccess: done });
        }}
      >
        <Stack>
          {sending.error !== null && <Failure title={s.notDone} error={sending.error} />}
          {of !== undefined && <Text>{s.clients.rotateText}</Text>}
          {of === undefined && (
            <>
              <TextInput label={s.clients.name} value={name} onChange={(event) => setName(event.currentTarget.value)} required maxLength={128} autoComplete="off" data-autofocus />
              <TextInput label={s.clients.scopes} description={s.clients.scopesHint} value={scopes} onChange={(event) => setScopes(event.currentTarget.value)} autoComplete="off" />
            </>
          )}
          <Checkbox label={s.clients.makeKey} checked={makes} onChange={(event) => setMakes(event.currentTarget.checked)} />
          <Textarea
            label={s.clients.pem}
            description={s.clients.pemHint}
            value={pem}
            onChange={(event) => setPem(event.currentTarget.value)}
            rows={4}
            spellCheck={false}
            autoComplete="off"
            classNames={{ input: 'mono' }}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {s.cancel}
            </Button>
            <Button type="submit" color={of === undefined ? 'indigo' : 'red'} loading={sending.isPending}>
              {of === undefined ? s.clients.register : s.clients.newKeys}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** Shows an API key, once. */
export function NewKey({ of, onClose }: { readonly of: string; readonly onClose: () => void }) {
  const s = useStrings();
  return (
    <Modal opened onClose={onClose} title={s.clients.keyTitle} lockScroll={false} closeOnClickOutside={false} closeButtonProps={{ 'aria-label': s.close }}>
      <Stack>
        <Text>{s.clients.keyText}</Text>
        <Code block tabIndex={0} className="wrapped" data-key>
          {of}
        </Code>
        <Group justify="flex-end">
          <CopyButton value={of}>
            {({ copied, copy }) => <Button onClick={copy}>{copied ? s.copied : s.copy}</Button>}
          </CopyButton>
          <Button variant="default" onClick={onClose}>
            {s.close}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
