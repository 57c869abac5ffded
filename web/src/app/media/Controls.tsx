import { ActionIcon, Alert, Button, Group, Tooltip } from '@mantine/core';
import type { Quality } from '@usher/client';
import type { ReactNode } from 'react';
import { useStrings } from '../../i18n.tsx';
import { useServices } from '../context.tsx';
import { Icon, type IconName } from '../icons.tsx';
import { useStore } from '../store.ts';

interface ToolProps {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: () => void;
  /** That something is off, or is under way, which the button shows. */
  readonly marked?: boolean;
  readonly danger?: boolean;
  readonly disabled?: boolean;
  readonly className?: string;
}

/** One button of a bar. */
export function Tool({ icon, label, onClick, marked = false, danger = false, disabled = false, className = '' }: ToolProps) {
  const colour = danger ? 'red' : marked ? 'indigo' : 'dark';
  return (
    <Tooltip label={label} openDelay={400} withinPortal={false} events={{ hover: true, focus: true, touch: false }}>
      <ActionIcon size={48} radius="xl" color={colour} variant="filled" aria-label={label} disabled={disabled} onClick={onClick} className={`tool ${className}`} mod={{ plain: !danger && !marked }}>
        <Icon name={icon} size={22} />
      </ActionIcon>
    </Tooltip>
  );
}

/** What one sends: microphone, camera and screen. */
export function OwnTools({ screen = true }: { readonly screen?: boolean }) {
  const s = useStrings();
  const { devices } = useServices();
  const { on, has, screen: shared } = useStore(devices);
  const canShare = screen && 'getDisplayMedia' in (navigator.mediaDevices ?? {});
  return (
    <>
      <Tool
        icon={on.audio && has.audio ? 'microphone' : 'microphoneOff'}
        label={on.audio && has.audio ? s.media.mute : s.media.unmute}
        marked={!on.audio || !has.audio}
        disabled={!has.audio}
        onClick={() => devices.turn('audio', !on.audio)}
      />
      <Tool
        icon={on.video && has.video ? 'camera' : 'cameraOff'}
        label={on.video && has.video ? s.media.stopCamera : s.media.startCamera}
        marked={!on.video || !has.video}
        disabled={!has.video}
        onClick={() => devices.turn('video', !on.video)}
      />
      {canShare && (
        <Tool
          icon={shared === undefined ? 'screen' : 'screenOff'}
          label={shared === undefined ? s.media.share : s.media.stopShare}
          marked={shared !== undefined}
          onClick={() => (shared === undefined ? void devices.share() : devices.stopShare())}
        />
      )}
    </>
  );
}

/** What is wrong with camera or microphone, and what can be done about it. */
export function MediaProblem() {
  const s = useStrings();
  const { devices } = useServices();
  const { problem, opening, has } = useStore(devices);
  if (problem === undefined) return null;
  return (
    <Alert color="yellow" role="alert" className="problem" withCloseButton closeButtonLabel={s.close} onClose={() => devices.hush()}>
      {s.media.problems[problem] ?? s.media.failed}
      {!has.audio && !has.video && ` ${s.media.unheard}`}
      {problem !== 'screen_denied' && (
        <Group mt="xs">
          <Button size="compact-sm" variant="default" loading={opening} onClick={() => void devices.again()}>
            {s.retry}
          </Button>
        </Group>
      )}
    </Alert>
  );
}

const bars = { unknown: 0, poor: 1, fair: 2, good: 3 } as const;

/** How good a connection is, as bars that say it in words, too. */
export function QualityMark({ quality }: { readonly quality: Quality | undefined }) {
  const s = useStrings();
  const level = quality?.level ?? 'unknown';
  const detail = quality?.rtt === undefined ? '' : `: ${s.quality.detail(Math.round(quality.rtt), Math.round(100 * quality.loss))}`;
  const label = s.quality[level] + detail;
  return (
    <span className="quality" data-quality={level} role="img" aria-label={label} title={label}>
      <svg viewBox="0 0 18 14" width="18" height="14" aria-hidden>
        {[1, 2, 3].map((bar) => (
          <rect key={bar} x={(bar - 1) * 6} y={14 - bar * 4.5} width="4" height={bar * 4.5} rx="1" opacity={bar <= bars[level] ? 1 : 0.3} />
        ))}
      </svg>
    </span>
  );
}

/** The bar at the foot of a call or room. */
export function Bar({ label, children }: { readonly label: string; readonly children: ReactNode }) {
  return (
    <div className="bar" role="toolbar" aria-label={label}>
      {children}
    </div>
  );
}
