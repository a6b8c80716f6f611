// Sky cells that cover a cone or a box: a walk down the HEALPix tree that keeps every cell whose bounding circle may
// touch the region. Circles know no pole and no seam, so there are no special cases to forget; the price is a few cells
// more than needed. Never too few: that is the promise, and the property the tests check.
import { cellCentre, cellRadius, cellVector } from './_healpix.ts';

/** Records are indexed by their cell of this order, 0.014° wide: a larger cell is a range of these. */
export const skyOrder = 12;

/** Far above the rounding of an angle, far below the smallest cell. */
const margin = 1e-8;

/** True when a circle of `radius` around the centre of a cell may touch the region. */
export type Touches = (order: number, cell: number, radius: number) => boolean;

/** Cells of `skyOrder`, both ends included. */
export interface CellRange {
  readonly from: number;
  readonly to: number;
}

/** Ranges of cells that hold the region: the cells of the finest order at which it takes at most `most` of them. */
export const coverSky = (touches: Touches, most: number): readonly CellRange[] => {
  let cells = Array.from({ length: 12 }, (_, cell) => cell);
  let order = 0;
  // Each order takes more than twice the cells of the one before, or nearly.
  for (let next = 0; next <= skyOrder && 2 * cells.length <= most; next++) {
    const radius = cellRadius(next) + margin;
    const candidates =
      next === 0 ? cells : cells.flatMap((cell) => [4 * cell, 4 * cell + 1, 4 * cell + 2, 4 * cell + 3]);
    const touched = candidates.filter((cell) => touches(next, cell, radius));
    if (touched.length > most) break;
    [cells, order] = [touched, next];
  }
  const inside = 4 ** (skyOrder - order);
  const ranges: CellRange[] = [];
  // In ascending order: a cell's parts come one after another.
  for (const cell of cells) {
    const before = ranges.at(-1);
    const range = { from: cell * inside, to: (cell + 1) * inside - 1 };
    if (before && before.to + 1 === range.from) ranges[ranges.length - 1] = { from: before.from, to: range.to };
    else ranges.push(range);
  }
  return ranges;
};

const radians = Math.PI / 180;

/** Chords, squared, not angles: no arc function for each cell; exact near 0 and, from the antipode, near 180. */
export const touchesCone = (ra: number, dec: number, coneRadius: number): Touches => {
  const across = Math.cos(dec * radians);
  const [x, y, z] = [across * Math.cos(ra * radians), across * Math.sin(ra * radians), Math.sin(dec * radians)];
  return (order, cell, radius) => {
    const angle = coneRadius + radius;
    if (angle >= 180) return true;
    const [a, b, c] = cellVector(order, cell);
    const chord = 2 * Math.sin((Math.min(angle, 180 - angle) / 2) * radians);
    if (angle <= 90) return (a - x) ** 2 + (b - y) ** 2 + (c - z) ** 2 <= chord * chord;
    return (a + x) ** 2 + (b + y) ** 2 + (c + z) ** 2 >= chord * chord;
  };
};

/** The box runs eastward from `raFrom` to `raTo`, across 0° when `raFrom` is the larger. */
export const touchesBox =
  (raFrom: number, raTo: number, decFrom: number, decTo: number): Touches =>
  (order, cell, radius) => {
    const [cellRa, cellDec] = cellCentre(order, cell);
    if (cellDec + radius < decFrom || cellDec - radius > decTo) return false;
    // A circle around a pole has every right ascension.
    if (Math.abs(cellDec) + radius >= 90) return true;
    const half = Math.asin(Math.min(1, Math.sin(radius * radians) / Math.cos(cellDec * radians))) / radians + margin;
    const width = raFrom <= raTo ? raTo - raFrom : raTo - raFrom + 360;
    // Eastward from the box's western edge, widened by the circle on both sides.
    const offset = (((cellRa - raFrom + half) % 360) + 360) % 360;
    return width + 2 * half >= 360 || offset <= width + 2 * half;
  };
