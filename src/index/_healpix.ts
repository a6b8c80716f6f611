// Sky cells: HEALPix, nested numbering (Górski et al. 2005, ApJ 622, 759), up to order 13. Cells of one order have one
// area; cell n of an order holds cells 4n … 4n+3 of the next. Angles in degrees. Pure arithmetic on doubles: a point
// within about 1e-13° of a border may fall to either side, which covers allow for by a margin.

const radians = Math.PI / 180;

/** Indices of order 13 fit 30 bits, so that shifts of 32-bit integers are exact. */
export const orderMax = 13;

/** Row and column of the faces' southern corners (Górski, eqs. 10 and 11). */
const faceRow: readonly number[] = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];
const faceColumn: readonly number[] = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];

/** Bits of `value` (at most 13) spread to the even places. */
const spread = (value: number): number => {
  let bits = value & 0x1fff;
  bits = (bits | (bits << 8)) & 0x00ff_00ff;
  bits = (bits | (bits << 4)) & 0x0f0f_0f0f;
  bits = (bits | (bits << 2)) & 0x3333_3333;
  return (bits | (bits << 1)) & 0x5555_5555;
};

const gather = (value: number): number => {
  let bits = value & 0x5555_5555;
  bits = (bits | (bits >>> 1)) & 0x3333_3333;
  bits = (bits | (bits >>> 2)) & 0x0f0f_0f0f;
  bits = (bits | (bits >>> 4)) & 0x00ff_00ff;
  return (bits | (bits >>> 8)) & 0xffff;
};

const numberOf = (face: number, x: number, y: number, order: number): number =>
  face * 4 ** order + spread(x) + (spread(y) << 1);

/** The cell of a point. `ra` any finite number of degrees, `dec` in [−90, 90]. */
export const skyCell = (order: number, ra: number, dec: number): number => {
  const side = 1 << order;
  const z = Math.sin(dec * radians);
  const height = Math.abs(z);
  // Quarter turns in [0, 4): a tiny negative angle must not become 4 by rounding.
  const turns = (((ra / 90) % 4) + 4) % 4;
  if (height <= 2 / 3) {
    const along = side * (0.5 + turns);
    const across = side * z * 0.75;
    const rising = Math.floor(along - across);
    const falling = Math.floor(along + across);
    const up = rising >> order;
    const down = falling >> order;
    const face = up === down ? (up & 3) + 4 : up < down ? up & 3 : (down & 3) + 8;
    return numberOf(face, falling & (side - 1), side - (rising & (side - 1)) - 1, order);
  }
  const quarter = Math.min(3, Math.floor(turns));
  const within = turns - quarter;
  // √(3(1−|z|)) by way of cos δ: near the poles 1−|z| has no digits left.
  const reach = (side * Math.cos(dec * radians) * Math.sqrt(3)) / Math.sqrt(1 + height);
  const rising = Math.min(Math.floor(within * reach), side - 1);
  const falling = Math.min(Math.floor((1 - within) * reach), side - 1);
  if (z >= 0) return numberOf(quarter, side - falling - 1, side - rising - 1, order);
  return numberOf(quarter + 8, rising, falling, order);
};

/** Where a cell lies: its row from the north, its place in it in half cells, and how many cells make an eighth turn. */
const ringOf = (side: number, order: number, cell: number) => {
  const face = Math.floor(cell / 4 ** order);
  const within = cell % 4 ** order;
  const x = gather(within);
  const y = gather(within >>> 1);
  const row = (faceRow[face] ?? 0) * side - x - y - 1;
  const cells = Math.min(row, side, 4 * side - row);
  return { row, cells, column: (faceColumn[face] ?? 0) * cells + x - y };
};

/** Sine of half the angle from the pole, in the polar caps: 1−|z| = n²/(3 side²), without the difference. */
const capOf = (side: number, cells: number): number => cells / (side * Math.sqrt(6));

const sineOf = (side: number, row: number): number => ((2 * side - row) * 2) / (3 * side);

/** Centre of a cell: [ra in [0, 360), dec]. */
export const cellCentre = (order: number, cell: number): readonly [number, number] => {
  const side = 1 << order;
  const { row, cells, column } = ringOf(side, order, cell);
  const ra = (45 * (column < 0 ? column + 8 * cells : column)) / cells;
  if (cells >= side) return [ra, Math.asin(sineOf(side, row)) / radians];
  return [ra, (row < side ? 1 : -1) * (90 - (2 * Math.asin(capOf(side, cells))) / radians)];
};

/** The same as a unit vector: [x, y, z]. */
export const cellVector = (order: number, cell: number): readonly [number, number, number] => {
  const side = 1 << order;
  const { row, cells, column } = ringOf(side, order, cell);
  const turn = (Math.PI / 4) * (column / cells);
  let [z, across] = [sineOf(side, row), 0];
  if (cells >= side) {
    across = Math.sqrt(1 - z * z);
  } else {
    const half = capOf(side, cells);
    z = (row < side ? 1 : -1) * (1 - 2 * half * half);
    across = 2 * half * Math.sqrt(1 - half * half);
  }
  return [across * Math.cos(turn), across * Math.sin(turn), z];
};

/** No point of a cell of this order is further from its centre, in degrees (as `max_pixrad` of the HEALPix library). */
export const cellRadius = (order: number): number => {
  const side = 1 << order;
  const inner = 1 - 1 / side;
  return separation(45 / side, Math.asin(2 / 3) / radians, 0, Math.asin(1 - (inner * inner) / 3) / radians);
};

/** Angle between two points in degrees, exact near 0 and near 180 (Vincenty's formula on the sphere). */
export const separation = (ra1: number, dec1: number, ra2: number, dec2: number): number => {
  const turn = (ra2 - ra1) * radians;
  const [sin1, cos1] = [Math.sin(dec1 * radians), Math.cos(dec1 * radians)];
  const [sin2, cos2] = [Math.sin(dec2 * radians), Math.cos(dec2 * radians)];
  const cosTurn = Math.cos(turn);
  const side = Math.hypot(cos2 * Math.sin(turn), cos1 * sin2 - sin1 * cos2 * cosTurn);
  return Math.atan2(side, sin1 * sin2 + cos1 * cos2 * cosTurn) / radians;
};
