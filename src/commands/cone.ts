// `opera cone`: star systems around a point on the sky, the closest to it first.
import { OperaError } from '../errors/errors.ts';
import { parseNumber } from '../index/units.ts';
import { answerStars, starFlags, textOf, whereFlag } from './_stars.ts';
import { defineVerb } from './_verb.ts';

const isNumber = (text: string | undefined): boolean => text !== undefined && parseNumber(text) !== undefined;

export const command = defineVerb({
  examples: [
    'opera cone Sirius 2deg',
    'opera cone 101.28 -16.7 30arcmin',
    "opera cone 06:45:08.9 -16:42:58 1deg --where 'mag < 9'",
  ],
  details: 'Angles are degrees unless they say otherwise; 06:45:08.9 is hours for a right ascension.',
  usage: 'opera cone STAR RADIUS | RA DEC RADIUS [FLAGS]',
  arguments: [
    { name: 'place', summary: 'a star, or right ascension and declination; then the radius', variadic: true },
  ],
  flags: { ...whereFlag, ...starFlags },
  run: (context) => {
    const { args, flags } = context;
    const { place } = args;
    if (place.length < 2 || place.length > 3 || (place.length === 2 && isNumber(place[0]) && isNumber(place[1]))) {
      throw new OperaError('usage', 'cone takes STAR RADIUS, or RA DEC RADIUS');
    }
    return answerStars(context, {
      ...textOf(flags),
      cone: place.join(','),
      ...(flags.where === undefined ? {} : { where: flags.where }),
    });
  },
});
