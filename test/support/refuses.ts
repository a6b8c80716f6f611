// Assertions on our errors: tests state the code, never the text.
import assert from 'node:assert/strict';
import { type ErrorCode, OperaError } from '../../src/errors/errors.ts';

/** Fails unless `fn` throws an OperaError with one of `codes`. */
export const refuses = (fn: () => unknown, ...codes: readonly ErrorCode[]): OperaError => {
  try {
    fn();
  } catch (error) {
    return assertCode(error, codes);
  }
  return assert.fail(`expected ${codes.join(' or ')}, but nothing was thrown`);
};

/** Fails unless the promise rejects with an OperaError with one of `codes`. */
export const rejects = async (promise: Promise<unknown>, ...codes: readonly ErrorCode[]): Promise<OperaError> => {
  try {
    await promise;
  } catch (error) {
    return assertCode(error, codes);
  }
  return assert.fail(`expected ${codes.join(' or ')}, but it resolved`);
};

const assertCode = (error: unknown, codes: readonly ErrorCode[]): OperaError => {
  assert.ok(error instanceof OperaError, `expected an error of ours, got ${String(error)}`);
  assert.ok(codes.includes(error.code), `expected ${codes.join(' or ')}, got ${error.code}: ${error.message}`);
  return error;
};
