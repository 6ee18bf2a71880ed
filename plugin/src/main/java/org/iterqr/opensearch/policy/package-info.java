/** How much each rewrite weighs: the policy document and what it is applied to; pure. */
package org.iterqr.opensearch.policy;
