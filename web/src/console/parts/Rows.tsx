import { Table, Text } from '@mantine/core';
import type { ReactNode } from 'react';

export interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => ReactNode;
  /** Numbers stand at the end of their column. */
  readonly end?: boolean;
}

interface Props<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly id: (row: T) => string;
  readonly empty: string;
}

/** A table that is a list of cards where it is narrow: each cell then names its column. */
export function Rows<T>({ label, columns, rows, id, empty }: Props<T>) {
  if (rows.length === 0) {
    return (
      <Text c="dimmed" py="md" role="status">
        {empty}
      </Text>
    );
  }
  return (
    <Table className="rows" verticalSpacing="sm" aria-label={label}>
      <Table.Thead>
        <Table.Tr>
          {columns.map((column) => (
            <Table.Th key={column.title} className={column.end ? 'end' : undefined} scope="col">
              {column.title}
            </Table.Th>
          ))}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row) => (
          <Table.Tr key={id(row)} data-id={id(row)}>
            {columns.map((column) => (
              <Table.Td key={column.title} className={column.end ? 'end' : undefined}>
                <span className="cell-title" aria-hidden>
                  {column.title}
                </span>
                <span className="cell">{column.cell(row)}</span>
              </Table.Td>
            ))}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
