// Space cells: cubes of x, y, z in parsecs at five sizes, each four times the one before. A cell is one integer below
// 2^51. Beyond ±65,536 cells coordinates are clamped into the outermost ones: floor and clamp are monotone, so a cover
// of an interval still holds every point of it.

/** Log2 of the edge in pc: 2, 8, 32, 128 and 512 pc. A sphere of 10 ly (3 pc) takes about 60 cells of 2 pc. */
export const spaceLevels: readonly number[] = [1, 3, 5, 7, 9];

const half = 2 ** 16;

const axisCell = (edge: number, value: number): number => Math.min(Math.max(Math.floor(value / edge), -half), half - 1);

const numberOf = (x: number, y: number, z: number): number =>
  ((x + half) * 2 * half + (y + half)) * 2 * half + (z + half);

export const spaceCell = (level: number, x: number, y: number, z: number): number => {
  const edge = 2 ** level;
  return numberOf(axisCell(edge, x), axisCell(edge, y), axisCell(edge, z));
};

/** Distance from `value` to the interval of a cell; 0 inside, and for the outermost cells beyond them too. */
const axisGap = (cell: number, edge: number, value: number): number => {
  if (value < cell * edge) return cell === -half ? 0 : cell * edge - value;
  const end = (cell + 1) * edge;
  return value > end && cell < half - 1 ? value - end : 0;
};

/** Cells of one level that hold every point within `radius` of the centre; undefined when more than `most`. */
export const coverSphere = (
  level: number,
  [x, y, z]: readonly [number, number, number],
  radius: number,
  most: number,
): readonly number[] | undefined => {
  const edge = 2 ** level;
  // The matcher computes distances in doubles: a margin far above their error keeps points on the surface in.
  const reach = radius + 1e-9 * (1 + radius + Math.abs(x) + Math.abs(y) + Math.abs(z));
  const from = (centre: number): number => axisCell(edge, centre - reach);
  const to = (centre: number): number => axisCell(edge, centre + reach);
  const box = (to(x) - from(x) + 1) * (to(y) - from(y) + 1) * (to(z) - from(z) + 1);
  // A sphere fills half of its box, its cells a little more: a box eight times too large cannot fit.
  if (box > 8 * most) return undefined;
  const cells: number[] = [];
  for (let i = from(x); i <= to(x); i++) {
    for (let j = from(y); j <= to(y); j++) {
      for (let k = from(z); k <= to(z); k++) {
        if (Math.hypot(axisGap(i, edge, x), axisGap(j, edge, y), axisGap(k, edge, z)) <= reach)
          cells.push(numberOf(i, j, k));
      }
    }
  }
  return cells.length > most ? undefined : cells;
};
