// Weighted rendezvous hashing: the order in which a partition prefers nodes, score = −weight / ln h(partition, node).
// Source: Schindelhauer and Schomaker, "Weighted Distributed Hash Tables" (SPAA 2005), logarithmic method.
// The seed of a node is a SHA-256 of its key hash, so a chosen key is as good as a random one; caps, not this order,
// bound what a node can get. Only the planner scores: everyone else reads the signed table.
import { sha256 } from '../crypto/digest.ts';
import { keyHashToBytes } from '../model/ids.ts';
import type { PlacementMember } from './_shares.ts';

const label = Buffer.from('opera/placement/v1', 'utf8');

/** The finaliser of MurmurHash3 (public domain, A. Appleby): every input bit reaches every output bit. */
const mix = (value: number): number => {
  let bits = value ^ (value >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits ^= bits >>> 13;
  bits = Math.imul(bits, 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
};

/** Score of node `node` for `partition`, above 0; the highest is preferred. */
export type Score = (partition: number, node: number) => number;

/** Prepares scores for `members`; a score costs some 50 ns. */
export const createScore = (members: readonly PlacementMember[]): Score => {
  const seeds = new Uint32Array(members.length * 2);
  const weights = new Float64Array(members.length);
  members.forEach((member, node) => {
    const seed = Buffer.from(sha256(label, keyHashToBytes(member.keyHash)));
    seeds[node * 2] = seed.readUInt32BE(0);
    seeds[node * 2 + 1] = seed.readUInt32BE(4);
    weights[node] = member.weight;
  });
  return (partition, node) => {
    const high = mix((seeds[node * 2] ?? 0) ^ Math.imul(partition + 1, 0x9e3779b1));
    const low = mix((seeds[node * 2 + 1] ?? 0) ^ Math.imul(partition + 1, 0x85ebca77) ^ high);
    // 53 bits, never 0 and never 1, so that the logarithm is finite and below 0.
    const fraction = (high * 0x20_0000 + (low >>> 11) + 0.5) / 0x20_0000_0000_0000;
    return -(weights[node] ?? 0) / Math.log(Math.min(fraction, 1 - Number.EPSILON));
  };
};
