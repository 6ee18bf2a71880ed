/** A/B experiments: which searches rewrites may touch, so that arms can be compared. */
package org.iterqr.opensearch.experiment;
