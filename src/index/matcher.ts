// The truth: does a record match? The index only finds candidates; this decides, and it is the oracle of every test.
// Three-valued (Kleene): a comparison with an absent value is unknown, `not` of unknown is unknown, and only what is
// true matches. So `not mag < 6` finds no star without a magnitude, and both halves of a question never overlap.
import { OperaError } from '../errors/errors.ts';
import { separation } from './_healpix.ts';
import type { Expression, Operator, SkyPoint, SpacePoint } from './expression.ts';
import { normaliseSpectralType } from './spectral.ts';
import type { StarSystem, Value } from './star-system.ts';

/** undefined: unknown. */
export type Truth = boolean | undefined;

const compare = (value: number, operator: Operator, wanted: number): boolean => {
  switch (operator) {
    case '=':
      return value === wanted;
    case '!=':
      return value !== wanted;
    case '<':
      return value < wanted;
    case '<=':
      return value <= wanted;
    case '>':
      return value > wanted;
    case '>=':
      return value >= wanted;
  }
};

/** Degrees between a record and a point; undefined without coordinates. */
export const skySeparation = ({ values: { ra, dec } }: StarSystem, centre: SkyPoint): number | undefined =>
  typeof ra === 'number' && typeof dec === 'number' ? separation(centre.ra, centre.dec, ra, dec) : undefined;

/** Parsecs between a record and a point; undefined without a place in space. */
export const spaceSeparation = (
  { values: { x_pc: x, y_pc: y, z_pc: z } }: StarSystem,
  centre: SpacePoint,
): number | undefined =>
  typeof x === 'number' && typeof y === 'number' && typeof z === 'number'
    ? Math.hypot(x - centre.x, y - centre.y, z - centre.z)
    : undefined;

const within = (distance: number | undefined, radius: number): Truth =>
  distance === undefined ? undefined : distance <= radius;

const inBox = (system: StarSystem, box: Extract<Expression, { kind: 'box' }>): Truth => {
  const { ra, dec } = system.values;
  if (typeof ra !== 'number' || typeof dec !== 'number') return undefined;
  if (dec < box.decFrom || dec > box.decTo) return false;
  return box.raFrom <= box.raTo ? ra >= box.raFrom && ra <= box.raTo : ra >= box.raFrom || ra <= box.raTo;
};

const unbound = (name: string): OperaError =>
  new OperaError('internal', `the place of "${name.slice(0, 40)}" was not looked up`);

/** Texts are compared as parseExpression wrote them: spectral types in their one spelling. */
const equals = (field: string, value: Value, wanted: string | boolean): boolean =>
  field === 'spectral_type' && typeof value === 'string' ? normaliseSpectralType(value) === wanted : value === wanted;

const hasPrefix = (system: StarSystem, { field, prefix }: Extract<Expression, { kind: 'prefix' }>): Truth => {
  if (field === 'name')
    return system.nameKeys.length === 0 ? undefined : system.nameKeys.some((key) => key.startsWith(prefix));
  const type = system.values.spectral_type;
  return typeof type === 'string' ? normaliseSpectralType(type).startsWith(prefix) : undefined;
};

const every = (parts: readonly Expression[], system: StarSystem, decisive: boolean): Truth => {
  let result: Truth = !decisive;
  for (const part of parts) {
    const truth = evaluate(part, system);
    if (truth === decisive) return decisive;
    if (truth === undefined) result = undefined;
  }
  return result;
};

/** Whether `system` satisfies a question whose stars were looked up. */
export const evaluate = (expression: Expression, system: StarSystem): Truth => {
  switch (expression.kind) {
    case 'and':
      return every(expression.parts, system, false);
    case 'or':
      return every(expression.parts, system, true);
    case 'not': {
      const truth = evaluate(expression.part, system);
      return truth === undefined ? undefined : !truth;
    }
    case 'number': {
      const value = system.values[expression.field];
      return typeof value === 'number' ? compare(value, expression.operator, expression.value) : undefined;
    }
    case 'equal': {
      const value = system.values[expression.field];
      return value === undefined ? undefined : equals(expression.field, value, expression.value);
    }
    case 'prefix':
      return hasPrefix(system, expression);
    case 'name':
      return system.nameKeys.length === 0 ? undefined : system.nameKeys.includes(expression.key);
    case 'known':
      return expression.field === 'name' ? system.nameKeys.length > 0 : system.values[expression.field] !== undefined;
    case 'cone':
      if (expression.centre.kind === 'star') throw unbound(expression.centre.name);
      return within(skySeparation(system, expression.centre), expression.radius);
    case 'box':
      return inBox(system, expression);
    case 'near':
      if (expression.centre.kind === 'star') throw unbound(expression.centre.name);
      return within(spaceSeparation(system, expression.centre), expression.radius);
  }
};

/** True only when the record surely matches. */
export const matches = (expression: Expression | undefined, system: StarSystem): boolean =>
  expression === undefined || evaluate(expression, system) === true;
