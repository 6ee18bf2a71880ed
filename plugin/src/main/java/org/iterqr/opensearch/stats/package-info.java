/** What a node tells about itself: sections of counters and histograms, added up over nodes. */
package org.iterqr.opensearch.stats;
