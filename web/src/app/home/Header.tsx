import { ActionIcon, Avatar, Badge, Button, CopyButton, Menu, Text, VisuallyHidden } from '@mantine/core';
import { useRef, useState } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useMine, useServices } from '../context.tsx';
import icon from '../../icon.svg';
import { Icon } from '../icons.tsx';
import { DevicesDialog } from '../media/DevicesDialog.tsx';
import { useStore } from '../store.ts';

/** Who one is, and whether the server is there. */
export function Header() {
  const s = useStrings();
  const { session } = useServices();
  const { me, operator } = useMine();
  const { connection } = useStore(session);
  const [devices, setDevices] = useState<'button' | 'menu'>();
  const account = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    if (devices === 'menu') account.current?.focus(); // the menu's item, which had the keyboard, is gone
    setDevices(undefined);
  };
  return (
    <header className="top">
      <Brand />
      <div role="status" aria-live="polite">
        {connection !== 'open' && (
          <Badge color="red" variant="filled" tt="none">
            {connection === 'connecting' ? s.connection.connecting : s.connection.lost}
          </Badge>
        )}
      </div>
      <ActionIcon variant="subtle" size="lg" color="gray" aria-label={s.media.title} onClick={() => setDevices('button')}>
        <Icon name="settings" />
      </ActionIcon>
      <Menu position="bottom-end" withinPortal={false}>
        <Menu.Target>
          <Button variant="subtle" color="gray" px="xs" ref={account} leftSection={<Face name={me.name} size="sm" />}>
            <VisuallyHidden>{s.account.menu}</VisuallyHidden>
            <span className="account-name">{me.name}</span>
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {me.email !== undefined && (
            <CopyButton value={me.email}>
              {({ copied, copy }) => (
                <Menu.Item closeMenuOnClick={false} onClick={copy}>
                  <Text size="xs" c="dimmed" component="span" display="block">
                    {s.account.address}
                  </Text>
                  {copied ? s.copied : me.email}
                </Menu.Item>
              )}
            </CopyButton>
          )}
          <Menu.Item onClick={() => setDevices('menu')}>{s.account.devices}</Menu.Item>
          {operator && (
            <Menu.Item component="a" href="/console">
              {s.account.console}
            </Menu.Item>
          )}
          <Menu.Divider />
          <Menu.Item onClick={() => void session.out()}>{s.signIn.out}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <DevicesDialog opened={devices !== undefined} onClose={close} />
    </header>
  );
}

/** Whose page it is. */
export function Brand() {
  const s = useStrings();
  return (
    <Text fw={700} size="lg" className="brand" component="div">
      <img src={icon} alt="" width={24} height={24} />
      {s.name}
    </Text>
  );
}

/** Somebody without a picture. */
export function Face({ name, size = 'md' }: { readonly name: string; readonly size?: 'sm' | 'md' | 'xl' }) {
  return (
    <Avatar size={size} color="indigo" variant="filled" aria-hidden>
      {[...name.trim()].slice(0, 1).join('').toUpperCase()}
    </Avatar>
  );
}
