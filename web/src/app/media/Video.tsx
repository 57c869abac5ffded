import { useEffect, useRef } from 'react';
import { useServices } from '../context.tsx';
import { useStore } from '../store.ts';

interface Props {
  readonly stream: MediaStream | undefined;
  readonly label: string;
  /** That it is one's own: silent, and as in a mirror. */
  readonly own?: boolean;
  readonly mirrored?: boolean;
  readonly className?: string;
}

/** A stream as it comes, heard at the chosen speaker. */
export function Video({ stream, label, own = false, mirrored = false, className = '' }: Props) {
  const { devices } = useServices();
  const { speaker } = useStore(devices).chosen;
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = element.current;
    if (video === null || video.srcObject === (stream ?? null)) return;
    video.srcObject = stream ?? null;
    // React does not set the property before the stream is there.
    video.muted = own;
    if (stream !== undefined) void video.play().catch(() => {}); // the browser wants to be touched first, and plays then
  }, [stream, own]);
  useEffect(() => {
    const video = element.current as (HTMLVideoElement & { readonly setSinkId?: (id: string) => Promise<void> }) | null;
    if (!own && speaker !== undefined) void video?.setSinkId?.(speaker).catch(() => {}); // it was unplugged
  }, [speaker, own]);
  return <video ref={element} className={`${className} ${mirrored ? 'mirrored' : ''}`} aria-label={label} autoPlay playsInline muted={own} />;
}
