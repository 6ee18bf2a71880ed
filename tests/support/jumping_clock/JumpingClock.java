package org.iterqr.test;

import static net.bytebuddy.matcher.ElementMatchers.any;
import static net.bytebuddy.matcher.ElementMatchers.is;
import static net.bytebuddy.matcher.ElementMatchers.nameStartsWith;

import java.lang.instrument.Instrumentation;
import java.lang.reflect.Method;
import java.time.Instant;
import net.bytebuddy.agent.builder.AgentBuilder;
import net.bytebuddy.asm.MemberSubstitution;

/**
 * A Java agent that gives the plugin, and the node's thread pools and search coordination, a wall clock that
 * jumps: an hour on, two hours back, three days on, and so forth. The monotonic clock is left alone.
 */
public final class JumpingClock {
  private static final long HOUR_MS = 3_600_000;
  private static final long[] OFFSETS_MS = {
    0, HOUR_MS, -HOUR_MS, 72 * HOUR_MS, -30 * 24 * HOUR_MS, 10, 365 * 24 * HOUR_MS
  };
  private static final long START_NANOS = System.nanoTime();
  private static volatile long periodMs = 1;

  private JumpingClock() {}

  /**
   * @param arguments how long the clock keeps an offset, in milliseconds
   * @param instrumentation of this JVM
   * @throws NoSuchMethodException never
   */
  public static void premain(String arguments, Instrumentation instrumentation)
      throws NoSuchMethodException {
    periodMs = Long.parseLong(arguments);
    Method millis = System.class.getMethod("currentTimeMillis");
    Method now = Instant.class.getMethod("now");
    MemberSubstitution jumping =
        MemberSubstitution.relaxed()
            .method(is(millis))
            .replaceWith(JumpingClock.class.getMethod("currentTimeMillis"))
            .method(is(now))
            .replaceWith(JumpingClock.class.getMethod("now"));
    new AgentBuilder.Default()
        .type(
            nameStartsWith("org.iterqr.opensearch.")
                .or(nameStartsWith("org.opensearch.threadpool."))
                .or(nameStartsWith("org.opensearch.action.search.")))
        .transform((builder, type, loader, module, domain) -> builder.visit(jumping.on(any())))
        .installOn(instrumentation);
  }

  /**
   * @return in place of the system's
   */
  public static long currentTimeMillis() {
    long turns = (System.nanoTime() - START_NANOS) / 1_000_000 / periodMs;
    return System.currentTimeMillis() + OFFSETS_MS[(int) (turns % OFFSETS_MS.length)];
  }

  /**
   * @return in place of the system's
   */
  public static Instant now() {
    return Instant.ofEpochMilli(currentTimeMillis());
  }
}
