// Icons as outlines of 24 by 24, in the colour of the text.

const paths = {
  phone: 'M5 4h4l2 5-2.5 1.5a11 11 0 0 0 5 5L15 13l5 2v4a2 2 0 0 1-2 2A16 16 0 0 1 3 6a2 2 0 0 1 2-2',
  hangUp: 'M3 14.5c0-1.5.5-2.6 1.6-3.3C7 9.7 9.400 9 12 9s5 .7 7.400 2.200c1.100.7 1.600 1.800 1.600 3.300v1.500l-5-.8v-3a13 13 0 0 0-8 0v3l-5 .8z',
  microphone: 'M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3M6 11a6 6 0 0 0 12 0M12 17v4M9 21h6',
  microphoneOff: 'M4 4l16 16M9 9v2a3 3 0 0 0 4.500 2.600M15 11V6a3 3 0 0 0-5.900-.8M6 11a6 6 0 0 0 9.500 4.900M18 11a6 6 0 0 1-.7 2.800M12 17v4M9 21h6',
  camera: 'M4 7h9a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1M14 11l6-3.500v9L14 13',
  cameraOff: 'M4 4l16 16M10 7h3a1 1 0 0 1 1 1v3l6-3.500v9l-2-1.200M14 14v2a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1h1',
  screen: 'M4 5h16a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1M8 20h8M12 16v4M12 13V8M9.500 10.500L12 8l2.500 2.500',
  screenOff: 'M4 5h16a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1M8 20h8M12 16v4M9.500 8l5 5M14.500 8l-5 5',
  full: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  small: 'M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5',
  settings: 'M4 6h9M17 6h3M4 12h3M11 12h9M4 18h9M17 18h3M15 4v4M9 10v4M15 16v4',
  people: 'M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7M3 20c0-3.300 2.700-6 6-6s6 2.700 6 6M16 4.500a3.500 3.500 0 0 1 0 6M18 14.500c1.800.9 3 3 3 5.500',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.700-5.700l-1.300 1.300M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.700 5.700l1.300-1.300',
  more: 'M12 5.500v.01M12 12v.01M12 18.500v.01',
  remove: 'M6 6l12 12M18 6L6 18',
  add: 'M12 5v14M5 12h14',
  leave: 'M14 4h4a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-4M10 8l-4 4 4 4M6 12h9',
  end: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M8.500 8.500l7 7M15.500 8.500l-7 7',
  missed: 'M5 5l7 7 7-7M5 5v5M5 5h5M4 19c4-3.500 12-3.500 16 0',
  sound: 'M4 10v4h3l5 4V6L7 10zM16 9a4 4 0 0 1 0 6M18.500 6.500a8 8 0 0 1 0 11',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 20 }: { readonly name: IconName; readonly size?: number }) {
  const stroke = { fill: 'none', stroke: 'currentColor', strokeLinecap: 'round', strokeLinejoin: 'round' } as const;
  return (
    <svg viewBox="0 0 24 24" width={size} height={size} strokeWidth={name === 'more' ? 3.5 : 1.9} aria-hidden {...stroke}>
      <path d={paths[name]} />
    </svg>
  );
}
