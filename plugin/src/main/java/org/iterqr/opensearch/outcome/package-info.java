/** How searches ended, and how often. */
package org.iterqr.opensearch.outcome;
