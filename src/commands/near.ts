// `opera near`: star systems around a star in space, the nearest first.
import { answerStars, starFlags, textOf, whereFlag } from './_stars.ts';
import { defineVerb } from './_verb.ts';

/** Without a distance: as many as one looks at. */
const nearestCount = 10;

export const command = defineVerb({
  examples: [
    'opera near Sol 10ly',
    "opera near Sol --where 'has planets' --limit 10",
    "opera near 'HIP 70890' 5pc --columns name,dist,separation",
  ],
  details:
    'Distances are parsecs unless they say otherwise (ly, au). Without a distance: the ten nearest, or as many as ' +
    '--limit says. Records without a known distance are nowhere near anything. A name that records in different ' +
    'places bear is refused; an identifier, or --in, says which is meant.',
  arguments: [
    { name: 'star', summary: 'a name, alias or identifier; Sol is the Sun' },
    { name: 'distance', summary: 'radius of the sphere', optional: true },
  ],
  flags: { ...whereFlag, ...starFlags },
  run: (context) => {
    const { args, flags } = context;
    const { star, distance } = args;
    const isList = flags.count || flags.group !== undefined || flags.histogram !== undefined;
    return answerStars(context, {
      ...(distance === undefined && !isList ? { limit: nearestCount } : {}),
      ...textOf(flags),
      near: distance === undefined ? star : `${star},${distance}`,
      ...(flags.where === undefined ? {} : { where: flags.where }),
    });
  },
});
