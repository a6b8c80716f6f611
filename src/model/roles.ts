// The roles a member can have and their one-byte codes in rosters, tokens and layouts.
// Codes are part of stored formats: never renumber, never reuse.
import { OperaError } from '../errors/errors.ts';

export const roleCodes = { gateway: 1, master: 2, sentinel: 3, node: 4, client: 5, operator: 6 } as const;

export type Role = keyof typeof roleCodes;

export const roles = Object.keys(roleCodes) as readonly Role[];

export const isRole = (value: unknown): value is Role => typeof value === 'string' && Object.hasOwn(roleCodes, value);

export const parseRole = (value: unknown): Role => {
  if (isRole(value)) return value;
  throw new OperaError('bad-request', `unknown role; it is one of ${roles.join(', ')}`);
};

export const roleOfCode = (code: number): Role | undefined => roles.find((role) => roleCodes[role] === code);

/** Members that hold network keys. Masters and sentinels never do: they place and watch what they cannot read. */
export const holdsNetworkKeys = (role: Role): boolean => role !== 'master' && role !== 'sentinel';
