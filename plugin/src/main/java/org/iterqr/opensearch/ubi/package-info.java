/** User Behavior Insights 1.3.0: what searches say of themselves, and the indices events go to. */
package org.iterqr.opensearch.ubi;
