import { useStrings } from '../i18n.tsx';

export interface Line {
  readonly name: string;
  readonly values: readonly number[];
}

interface Props {
  readonly label: string;
  readonly lines: readonly Line[];
  readonly show: (value: number) => string;
  /** A small one has no axis. */
  readonly small?: boolean;
}

const width = 600;
const pad = 4;

/** Lines over the last ten minutes. What they show is said in words to who can't see them. */
export function Chart({ label, lines, show, small = false }: Props) {
  const s = useStrings();
  const height = small ? 60 : 180;
  const top = Math.max(...lines.flatMap((line) => line.values), 0);
  const most = top === 0 ? 1 : top;
  const said = lines.map((line) => s.overview.chart(line.name, show(line.values.at(-1) ?? 0), show(Math.max(...line.values, 0)))).join(' ');
  return (
    <div className="chart">
      {!small && <span className="chart-most">{show(top)}</span>}
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={`${label}. ${said}`} className={small ? 'small' : 'large'}>
        {!small && [0.25, 0.5, 0.75].map((part) => <line key={part} x1={0} x2={width} y1={height * part} y2={height * part} className="grid" />)}
        <line x1={0} x2={width} y1={height - 1} y2={height - 1} className="axis" />
        {lines.map((line, i) => (
          <g key={line.name} className={`line line-${i % 6}`}>
            {small && <path className="area" d={`${draw(line.values, most, height)}V${height}H${start(line.values)}Z`} />}
            <path d={draw(line.values, most, height)} />
          </g>
        ))}
      </svg>
      {!small && (
        <div className="chart-ends" aria-hidden>
          <span>{s.overview.from}</span>
          <span>{s.overview.to}</span>
        </div>
      )}
    </div>
  );
}

/** kept is how many samples the server keeps: the newest are at the right end. */
const kept = 120;

function x(values: readonly number[], i: number): number {
  return (width * (kept - values.length + i + 1)) / kept;
}

function start(values: readonly number[]): string {
  return x(values, 0).toFixed(1);
}

function draw(values: readonly number[], most: number, height: number): string {
  const y = (value: number): number => height - pad - ((height - 2 * pad) * value) / most;
  if (values.length === 1) return `M0 ${y(values[0] ?? 0).toFixed(1)}H${width}`;
  return values.map((value, i) => `${i === 0 ? 'M' : 'L'}${x(values, i).toFixed(1)} ${y(value).toFixed(1)}`).join('');
}
