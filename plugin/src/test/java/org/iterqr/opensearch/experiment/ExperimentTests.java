package org.iterqr.opensearch.experiment;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;

class ExperimentTests {
  private static final List<String> CLIENTS =
      IntStream.range(0, 20_000).mapToObj(number -> "client-" + number).toList();

  private static Map<ExperimentBucket, Long> sizes(Experiment experiment) {
    return CLIENTS.stream()
        .collect(
            Collectors.groupingBy(
                client -> experiment.assign(client).bucket(), Collectors.counting()));
  }

  private static void assertShare(double percent, long count) {
    assertEquals(percent, 100.0 * count / CLIENTS.size(), 1.0);
  }

  /** The same numbers come out of any other implementation of the documented definition. */
  @Test
  void fractionsAreAsDocumented() {
    assertEquals(FRACTION_OF_A, IdFraction.of("p", "a"));
    assertEquals(FRACTION_OF_UMLAUT, IdFraction.of("p", "ä"));
  }

  private static final double FRACTION_OF_A = 0.629379102264444;
  private static final double FRACTION_OF_UMLAUT = 0.6315263886257879;

  @Test
  void armsHaveTheirShares() {
    Map<ExperimentBucket, Long> sizes = sizes(new Experiment("exp", "", 30, 20));
    assertShare(30, sizes.get(ExperimentBucket.TREATMENT));
    assertShare(20, sizes.get(ExperimentBucket.SHADOW));
    assertShare(50, sizes.get(ExperimentBucket.CONTROL));
  }

  @Test
  void noneOrAllIsExact() {
    assertEquals(Map.of(ExperimentBucket.CONTROL, 20_000L), sizes(new Experiment("exp", "", 0, 0)));
    assertEquals(
        Map.of(ExperimentBucket.TREATMENT, 20_000L), sizes(new Experiment("exp", "", 100, 0)));
    assertEquals(
        Map.of(ExperimentBucket.SHADOW, 20_000L), sizes(new Experiment("exp", "", 0, 100)));
  }

  @Test
  void aChangeOfSharesMovesClientsFromOrToControlOnly() {
    Experiment before = new Experiment("exp", "s", 10, 10);
    Experiment after = new Experiment("exp", "s", 40, 5);
    for (String client : CLIENTS) {
      ExperimentBucket was = before.assign(client).bucket();
      ExperimentBucket is = after.assign(client).bucket();
      assertTrue(
          was == is || was == ExperimentBucket.CONTROL || is == ExperimentBucket.CONTROL, client);
      if (was == ExperimentBucket.TREATMENT) {
        assertEquals(ExperimentBucket.TREATMENT, is);
      }
    }
  }

  @Test
  void anotherSaltOrNameShuffles() {
    Experiment one = new Experiment("exp", "one", 50, 0);
    for (Experiment other :
        List.of(new Experiment("exp", "two", 50, 0), new Experiment("exp2", "one", 50, 0))) {
      long same =
          CLIENTS.stream()
              .filter(client -> one.assign(client).bucket() == other.assign(client).bucket())
              .count();
      assertShare(50, same);
    }
  }

  @Test
  void withoutExperimentOrClientThereIsNoArm() {
    assertEquals(Assignment.NONE, new Experiment("", "", 0, 0).assign("client"));
    assertEquals(Assignment.NONE, new Experiment("exp", "", 0, 0).assign(""));
    assertEquals("", Assignment.NONE.bucket().wireName());
    assertEquals("control", new Experiment("exp", "", 0, 0).assign("c").bucket().wireName());
  }

  @Test
  void settingsAreReadAndHeldToAWhole() {
    ClusterSettings known =
        new ClusterSettings(Settings.EMPTY, java.util.Set.copyOf(ExperimentSettings.ALL));
    Settings.Builder settings =
        Settings.builder()
            .put("plugins.iterqr.experiment.name", "exp-1")
            .put("plugins.iterqr.experiment.treatment_percent", 60)
            .put("plugins.iterqr.experiment.shadow_percent", 40);
    known.validate(settings.build(), true);
    assertEquals(new Experiment("exp-1", "", 60, 40), ExperimentSettings.read(settings.build()));
    settings.put("plugins.iterqr.experiment.shadow_percent", 40.5);
    Exception refused =
        assertThrows(IllegalArgumentException.class, () -> known.validate(settings.build(), true));
    assertTrue(
        refused.getMessage().contains("plugins.iterqr.experiment.shadow_percent"),
        refused.getMessage());
    assertThrows(
        IllegalArgumentException.class,
        () ->
            ExperimentSettings.NAME.get(
                Settings.builder().put("plugins.iterqr.experiment.name", "a b").build()));
  }

  /** The file's shares and the cluster's are each a whole at most, but not together. */
  @Test
  void sharesOfSeveralSourcesDoNotKeepTheClusterStateFromBeingApplied() {
    ClusterSettings node =
        new ClusterSettings(
            Settings.builder()
                .put("plugins.iterqr.experiment.name", "exp")
                .put("plugins.iterqr.experiment.treatment_percent", 50)
                .put("plugins.iterqr.experiment.shadow_percent", 50)
                .build(),
            java.util.Set.copyOf(ExperimentSettings.ALL));
    AtomicReference<Experiment> running = new AtomicReference<>();
    node.addSettingsUpdateConsumer(
        changed -> running.set(ExperimentSettings.read(changed)), ExperimentSettings.ALL);
    Settings update =
        Settings.builder().put("plugins.iterqr.experiment.treatment_percent", 80).build();
    node.validate(update, true);
    node.validateUpdate(update);
    node.applySettings(update);
    assertEquals(new Experiment("exp", "", 80, 20), running.get());
  }
}
