// Space cells: cubes of 2 pc, 4,096 along each axis, numbered so that each cube of cells (an octant of an octant …) is
// one range (Morton order). Beyond ±4,096 pc coordinates are clamped into the outermost cells: floor and clamp are
// monotone, so a cover of an interval still holds every point of it.
import type { CellRange } from './_sky-covers.ts';

/** Edge of a cell in pc. A sphere of 10 ly (3 pc) takes about 60. */
const edge = 2;
const levels = 12;
const side = 2 ** levels;
const half = side / 2;

const axisCell = (value: number): number => Math.min(Math.max(Math.floor(value / edge), -half), half - 1) + half;

/** Twelve bits with two zero bits before each: 36 bits, more than integer operations of the language take at once. */
const spread = (value: number): number => spreadSix(value >>> 6) * 2 ** 18 + spreadSix(value & 0x3f);

const spreadSix = (value: number): number => {
  let bits = value;
  bits = (bits | (bits << 8)) & 0x0000_f00f;
  bits = (bits | (bits << 4)) & 0x000c_30c3;
  return (bits | (bits << 2)) & 0x0024_9249;
};

const numberOf = (x: number, y: number, z: number): number => 4 * spread(x) + 2 * spread(y) + spread(z);

/** The cell of a point in pc: an integer below 2^36. */
export const spaceCell = (x: number, y: number, z: number): number => numberOf(axisCell(x), axisCell(y), axisCell(z));

/** Distance from `value` to the cells [from, to) of an axis; 0 inside, and for the outermost cells beyond them too. */
const axisGap = (from: number, to: number, value: number): number => {
  const low = (from - half) * edge;
  const high = (to - half) * edge;
  if (value < low) return from === 0 ? 0 : low - value;
  return value > high && to < side ? value - high : 0;
};

interface Cube {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** Ranges of cells that hold every point within `radius` of the centre, of at most `most` cubes. */
export const coverSphere = (
  [x, y, z]: readonly [number, number, number],
  radius: number,
  most: number,
): readonly CellRange[] => {
  // The matcher computes distances in doubles: a margin far above their error keeps points on the surface in.
  const reach = radius + 1e-9 * (1 + radius + Math.abs(x) + Math.abs(y) + Math.abs(z));
  const touches = (cube: Cube, size: number): boolean =>
    Math.hypot(
      axisGap(cube.x, cube.x + size, x),
      axisGap(cube.y, cube.y + size, y),
      axisGap(cube.z, cube.z + size, z),
    ) <= reach;
  let cubes: readonly Cube[] = [{ x: 0, y: 0, z: 0 }];
  let size = side;
  // Each size takes more than twice the cubes of the one before, or nearly.
  while (size > 1 && 2 * cubes.length <= most) {
    const next = size / 2;
    const touched = cubes
      .flatMap((cube) =>
        [0, 1, 2, 3, 4, 5, 6, 7].map((octant) => ({
          x: cube.x + (octant & 4 ? next : 0),
          y: cube.y + (octant & 2 ? next : 0),
          z: cube.z + (octant & 1 ? next : 0),
        })),
      )
      .filter((cube) => touches(cube, next));
    if (touched.length > most) break;
    [cubes, size] = [touched, next];
  }
  const ranges: CellRange[] = [];
  // In ascending order: the octants of a cube come one after another.
  for (const cube of cubes) {
    const from = numberOf(cube.x, cube.y, cube.z);
    const to = from + size ** 3 - 1;
    const before = ranges.at(-1);
    if (before && before.to + 1 === from) ranges[ranges.length - 1] = { from: before.from, to };
    else ranges.push({ from, to });
  }
  return ranges;
};
