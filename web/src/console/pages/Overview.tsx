import { Paper, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Figure, Figures } from '@usher/client';
import type { ReactNode } from 'react';
import { useSigned } from '../context.ts';
import { duration, number } from '../format.ts';
import { useStrings } from '../i18n.tsx';
import { Answer } from '../parts/Answer.tsx';
import { Chart, type Line } from '../parts/Chart.tsx';
import { Link } from '../parts/Link.tsx';
import { Page } from '../parts/Page.tsx';
import { path } from '../route.ts';

/** What goes on at this server. */
export function Overview() {
  const s = useStrings();
  const { operator } = useSigned();
  const figures = useQuery({ queryKey: ['figures'], queryFn: () => operator.figures(), refetchInterval: 5000 });
  return (
    <Page title={s.pages.overview} lead={s.overview.lead}>
      <Answer of={figures}>
        {(data) => (
          <>
            <div className="tiles">
              <Tile name="rooms" label={s.overview.rooms} samples={data.samples} of={(one) => one.rooms} to={path('rooms')} />
              <Tile name="participants" label={s.overview.participants} samples={data.samples} of={(one) => one.participants} />
              <Tile name="connections" label={s.overview.connections} samples={data.samples} of={(one) => one.connections} />
              <Tile name="sockets" label={s.overview.sockets} samples={data.samples} of={(one) => one.sockets} />
              <Tile name="requests" label={s.overview.requests} samples={data.samples} of={(one) => one.requests} />
            </div>
            <div className="charts">
              <Tokens figures={data} />
              <Refusals figures={data} />
              <Latencies figures={data} />
            </div>
          </>
        )}
      </Answer>
    </Page>
  );
}

interface TileProps {
  readonly name: string;
  readonly label: string;
  readonly samples: readonly Figure[];
  readonly of: (sample: Figure) => number;
  readonly to?: string;
}

function Tile({ name, label, samples, of, to }: TileProps) {
  const values = samples.map(of);
  return (
    <Paper withBorder p="md" data-figure={name}>
      <Text size="sm" c="dimmed">
        {to === undefined ? label : <Link to={to}>{label}</Link>}
      </Text>
      <Text className="figure">{number(values.at(-1) ?? 0)}</Text>
      <Chart small label={label} lines={[{ name: label, values }]} show={number} />
    </Paper>
  );
}

function Panel({ title, hint, children }: { readonly title: string; readonly hint?: string; readonly children: ReactNode }) {
  return (
    <Paper withBorder p="md" component="section" aria-label={title}>
      <Title order={2} size="h4" mb="sm">
        {title}
      </Title>
      {children}
      {hint !== undefined && (
        <Text size="xs" c="dimmed" mt="xs">
          {hint}
        </Text>
      )}
    </Paper>
  );
}

/** most is as many lines as can be told apart. */
const most = 6;

/** named are the names with the highest sums, and a line of rates for each. */
function named(sums: Readonly<Record<string, number>>, samples: readonly Figure[], of: (sample: Figure) => Readonly<Record<string, number>>): readonly Line[] {
  const names = Object.keys(sums).sort((a, b) => (sums[b] ?? 0) - (sums[a] ?? 0) || a.localeCompare(b));
  return names.slice(0, most).map((name) => ({ name, values: samples.map((sample) => of(sample)[name] ?? 0) }));
}

function Tokens({ figures }: { readonly figures: Figures }) {
  const s = useStrings();
  const lines = named(figures.tokens, figures.samples, (sample) => sample.tokens);
  return (
    <Panel title={s.overview.tokens}>
      {lines.length === 0 ? <Text c="dimmed">{s.overview.noTokens}</Text> : <Rates label={s.overview.tokens} lines={lines} sums={figures.tokens} />}
    </Panel>
  );
}

function Refusals({ figures }: { readonly figures: Figures }) {
  const s = useStrings();
  const lines = named(figures.refusals, figures.samples, (sample) => sample.refusals);
  return (
    <Panel title={s.overview.refusals} hint={s.overview.refusalsHint}>
      {lines.length === 0 ? (
        <Text c="dimmed">{s.overview.noRefusals}</Text>
      ) : (
        <Rates label={s.overview.refusals} lines={lines} sums={figures.refusals} to={(code) => path('decisions', undefined, { code })} />
      )}
    </Panel>
  );
}

interface RatesProps {
  readonly label: string;
  readonly lines: readonly Line[];
  readonly sums: Readonly<Record<string, number>>;
  readonly to?: (name: string) => string;
}

function Rates({ label, lines, sums, to }: RatesProps) {
  const s = useStrings();
  return (
    <>
      <Chart label={label} lines={lines} show={number} />
      <Legend
        label={label}
        titles={[s.overview.now, s.overview.sum]}
        rows={lines.map(({ name, values }) => ({ name, to: to?.(name), cells: [number(values.at(-1) ?? 0), number(sums[name] ?? 0)] }))}
      />
    </>
  );
}

function Latencies({ figures }: { readonly figures: Figures }) {
  const s = useStrings();
  const lines = (['p50', 'p95', 'p99'] as const).map((name) => ({
    name: s.overview.quantiles[name],
    values: figures.samples.map((sample) => sample.latency[name]),
  }));
  const some = lines.some((line) => line.values.some((value) => value > 0));
  return (
    <Panel title={s.overview.latency} hint={s.overview.latencyHint}>
      {some ? (
        <>
          <Chart label={s.overview.latency} lines={lines} show={duration} />
          <Legend
            label={s.overview.latency}
            titles={[s.overview.value]}
            rows={lines.map(({ name, values }) => ({ name, cells: [duration(values.filter((value) => value > 0).at(-1) ?? 0)] }))}
          />
        </>
      ) : (
        <Text c="dimmed">{s.overview.noRequests}</Text>
      )}
    </Panel>
  );
}

interface LegendProps {
  readonly label: string;
  readonly titles: readonly string[];
  readonly rows: readonly { readonly name: string; readonly to?: string | undefined; readonly cells: readonly string[] }[];
}

function Legend({ label, titles, rows }: LegendProps) {
  const s = useStrings();
  return (
    <table className="legend" aria-label={label}>
      <thead>
        <tr>
          <th scope="col">{s.overview.series}</th>
          {titles.map((title) => (
            <th scope="col" key={title} className="end">
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, i) => (
          <tr key={row.name}>
            <th scope="row">
              <span className={`swatch line-${i % 6}`} aria-hidden />
              {row.to === undefined ? row.name : <Link to={row.to}>{row.name}</Link>}
            </th>
            {row.cells.map((cell, j) => (
              <td key={titles[j]} className="end">
                {cell}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
