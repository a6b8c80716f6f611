// Metrics of a role in Prometheus text form: requests by route and outcome, their time, and what the role adds.
// Labels come from closed tables only (routes, error codes, states); never names, addresses or values.
// Names follow Prometheus's own rules: what only rises ends in `_total` and is a counter, everything else is a gauge.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { OperaError } from '../errors/errors.ts';
import type { Role } from '../model/roles.ts';
import type { Clock } from '../runtime/clock.ts';
import type { RouteName } from '../wire/routes.ts';

type Read<Value> = () => Value | Promise<Value>;

/** What cannot be read now is left out of the scrape, not the scrape with it. */
const readOrNothing = async <Value>(read: Read<Value>): Promise<Value | undefined> => {
  try {
    return await read();
  } catch {
    return undefined;
  }
};

const checkName = (name: string, rises: boolean): void => {
  const fits = /^opera_[a-z_]+$/.test(name) && name.endsWith('_total') === rises;
  if (!fits) throw new OperaError('internal', `${name} is no name for a ${rises ? 'counter' : 'gauge'}`);
};

export class RoleMetrics {
  readonly #registry = new Registry();
  readonly #clock: Clock;
  readonly #requests: Counter<'route' | 'outcome'>;
  readonly #seconds: Histogram<'route'>;
  readonly #handshakes: Counter;

  constructor(role: Role, clock: Clock) {
    this.#clock = clock;
    this.#registry.setDefaultLabels({ role });
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'opera_requests_total',
      help: 'Requests answered, by route and outcome (ok or error code).',
      labelNames: ['route', 'outcome'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'opera_request_seconds',
      help: 'Time from the last header to the answer, in seconds.',
      labelNames: ['route'],
      buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
      registers,
    });
    this.#handshakes = new Counter({
      name: 'opera_handshakes_refused_total',
      help: 'TLS handshakes that failed: strangers, other networks, expired certificates.',
      registers,
    });
    const started = clock.monotonicMs();
    this.gauge(
      'opera_uptime_seconds',
      'Seconds since the role started.',
      () => (clock.monotonicMs() - started) / 1_000,
    );
    this.gauge('opera_resident_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  }

  /** Starts timing one request; the answer is to be called once with its outcome. */
  begin(route: RouteName): (outcome: string) => void {
    const start = this.#clock.monotonicMs();
    return (outcome) => {
      this.#requests.inc({ route, outcome });
      this.#seconds.observe({ route }, (this.#clock.monotonicMs() - start) / 1_000);
    };
  }

  handshakeFailed(): void {
    this.#handshakes.inc();
  }

  /** A gauge read at each scrape; absent when there is no value. `name` ends in its unit. */
  gauge(name: string, help: string, read: Read<number | undefined>): void {
    checkName(name, false);
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      async collect() {
        const value = await readOrNothing(read);
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }

  /** As `gauge`, with a value for each word of a closed set. */
  gaugeBy(name: string, help: string, label: string, read: Read<ReadonlyMap<string, number>>): void {
    checkName(name, false);
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      async collect() {
        const values = await readOrNothing(read);
        this.reset();
        for (const [word, value] of values ?? []) this.set({ [label]: word }, value);
      },
    });
  }

  /** A count since the role started, read at each scrape. `name` ends in `_total`. */
  counter(name: string, help: string, read: () => number): void {
    checkName(name, true);
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
