// `opera node`: runs this machine as a node of a network.
import { defineRoleVerb } from './_role-verb.ts';

export const command = defineRoleVerb('node');
