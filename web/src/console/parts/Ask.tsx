import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useStrings } from '../i18n.tsx';
import { Failure } from './Answer.tsx';

interface Props {
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly title: string;
  readonly text: string;
  readonly action: string;
  /** That a reason can be given. */
  readonly reason?: boolean;
  /** What is done if one means it. */
  readonly does: (reason: string) => Promise<unknown>;
  readonly done: () => void;
}

/** Asks whether one means it, before something is done that can't be undone. */
export function Ask({ opened, onClose, title, text, action, reason = false, does, done }: Props) {
  const s = useStrings();
  const [why, setWhy] = useState('');
  const doing = useMutation({ mutationFn: () => does(why) });
  const close = (): void => {
    doing.reset();
    setWhy('');
    onClose();
  };
  const agree = (): void => {
    doing.mutate(undefined, {
      onSuccess: () => {
        done();
        close();
      },
    });
  };
  return (
    <Modal opened={opened} onClose={close} title={title} lockScroll={false} closeButtonProps={{ 'aria-label': s.close }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          agree();
        }}
      >
        <Stack>
          {doing.error !== null && <Failure title={s.notDone} error={doing.error} />}
          <Text>{text}</Text>
          {reason && (
            <TextInput
              label={s.room.reason}
              description={s.room.reasonHint}
              value={why}
              onChange={(event) => setWhy(event.currentTarget.value)}
              maxLength={123}
              autoComplete="off"
            />
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {s.cancel}
            </Button>
            <Button type="submit" color="red" loading={doing.isPending}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
