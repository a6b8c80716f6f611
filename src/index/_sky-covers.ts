// Sky cells that cover a cone or a box: a walk down the HEALPix tree that keeps every cell whose bounding circle may
// touch the region. Circles know no pole and no seam, so there are no special cases to forget; the price is a few cells
// more than needed. Never too few: that is the promise, and the property the tests check.
import { cellCentre, cellRadius, separation } from './_healpix.ts';

/** Orders that records are indexed at: cells of 3.7°, 0.46° and 0.057°. */
export const skyOrders: readonly number[] = [4, 7, 10];

/** Far above the rounding of an angle, far below the smallest cell. */
const margin = 1e-8;

/** True when a circle of `radius` around the point may touch the region. */
export type Touches = (ra: number, dec: number, radius: number) => boolean;

export interface SkyCover {
  readonly order: number;
  readonly cells: readonly number[];
}

/** The cover of the finest indexed order with at most `most` cells; undefined when even the coarsest needs more. */
export const coverSky = (touches: Touches, most: number): SkyCover | undefined => {
  let cells = Array.from({ length: 12 }, (_, cell) => cell);
  let best: SkyCover | undefined;
  const finest = Math.max(...skyOrders);
  for (let order = 0; order <= finest; order++) {
    const radius = cellRadius(order) + margin;
    const candidates =
      order === 0 ? cells : cells.flatMap((cell) => [4 * cell, 4 * cell + 1, 4 * cell + 2, 4 * cell + 3]);
    cells = candidates.filter((cell) => touches(...cellCentre(order, cell), radius));
    if (skyOrders.includes(order) && cells.length <= most) best = { order, cells };
    // Cells of the next orders only grow in number; while none is indexed yet, four times as many may still shrink.
    if (cells.length > 8 * most || (best && cells.length > most)) break;
  }
  return best;
};

export const touchesCone =
  (ra: number, dec: number, coneRadius: number): Touches =>
  (cellRa, cellDec, radius) =>
    separation(ra, dec, cellRa, cellDec) <= coneRadius + radius;

/** The box runs eastward from `raFrom` to `raTo`, across 0° when `raFrom` is the larger. */
export const touchesBox =
  (raFrom: number, raTo: number, decFrom: number, decTo: number): Touches =>
  (cellRa, cellDec, radius) => {
    if (cellDec + radius < decFrom || cellDec - radius > decTo) return false;
    // A circle around a pole has every right ascension.
    if (Math.abs(cellDec) + radius >= 90) return true;
    const radians = Math.PI / 180;
    const half = Math.asin(Math.min(1, Math.sin(radius * radians) / Math.cos(cellDec * radians))) / radians + margin;
    const width = raFrom <= raTo ? raTo - raFrom : raTo - raFrom + 360;
    // Eastward from the box's western edge, widened by the circle on both sides.
    const offset = (((cellRa - raFrom + half) % 360) + 360) % 360;
    return width + 2 * half >= 360 || offset <= width + 2 * half;
  };
